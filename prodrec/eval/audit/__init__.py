"""The audit of labels: which rows of a dataset probably have a wrong label, and which class is probably right.

Every row i with the label y has candidates c: y and the best classes of every kind of evidence e. The evidence is
computed out of fold, so no row, no duplicate of it and no other photo of its product has spoken for itself:

    photo       log p(x|c) of Gaussian classes in the space of the features (`models/second_stage/held_out.py`)
    neighbours  log(v_c + ε), the vote of the nearest photos of other products
    title       log p(words|c), naive Bayes (`bags.py`)
    attributes  the same for the states of the attributes

    P(c|i) = softmax_c( Σ_e w_e s_e(i, c) + w_n log n_c + [c ≠ y] (w_0 + w_t t(c, y) + w_s / √n_y) )

with n_c the rows of a class, and t the share of levels of the category tree at which c and y differ. The proposal c* of
a row is the best class other than y. Its suspicion is the probability that y is wrong, whatever may be right:

    logistic( u_1 log((1 − P(y|i)) / P(y|i)) + Σ_e (−u_e s_e(i, y) + v_e max_c (s_e(i, c) − s_e(i, y)))
              + u_t t(c*, y) + u_n log n_y + u_s / √n_y + u_0 )

The right class of a rare product is often one that the other folds hardly know: then no class wins, and the evidence
against the label alone counts. Suspicions of the photos of a product are averaged.

**The weights are not chosen by hand, but fitted on the dataset itself.** `plant.py` gives 5 % of the products a wrong
label with a known seed, half of them that of a sibling. All evidence is computed anew with these labels, and the
weights are those with the largest likelihood of the labels before (`combine.py`). Rows that are then suspects are
omitted, and the weights fitted again: what a planted error looks like must not be learned from real errors that count
as right. Evidence that says nothing in this dataset, such as titles of numbers, gets no weight. The share of planted
errors among as many first suspects is what the audit can find in this dataset, and it is printed.

    plant.py           wrong labels with a seed
    bags.py            evidence from words and attributes
    candidates.py      the evidence of all rows, for their candidates
    combine.py         the weights, P(c|i) and the suspicion
    trial.py           plants errors, fits the weights on them, and audits all rows
    suspects.py        rows become products, ranked, with reasons
    odd_photos.py      photos that are blurred, dark, blank or of a wrong shape
    duplicates.py      nearly equal photos of different products
    shared_classes.py  classes that two names share
    table.py           suspects.csv, which `prepare --corrections` reads
    sheet.py           audit.html
"""
