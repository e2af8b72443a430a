"""Multiclass regression (MCR): refine the scores of every level of the category tree by those of all levels (S §3.3).

What is fitted
    MCR is a multinomial logistic regression whose features are scores. Ω is the set of the n categories of all refined
    levels. f ∈ R^n contains the unnormalised scores of one photo for all of Ω. W is an n×n matrix with one weight
    vector w_c per category c. The refined score of c is w_c · f_c, where f_c is f with every score outside the set
    R_c ⊆ Ω set to zero. W therefore has weights within the sets R_c only. For photos i and levels j:

        P(c | f, W) = exp(w_c · f_c) / Σ_t exp(w_t · f_t),  t over the categories of c's level          after S eq. 2
        W* = argmin_W −Σ_i Σ_j log P(true category of photo i at level j) + λ‖W − I‖²                  after S eq. 3
        R_c = {C^1, …, C^(j-1), T_c}  for c of level j                                                       S eq. 4

    C^1 … C^(j-1) are the categories of the shallower levels. T_c contains K categories of c's level, and their
    children. The K categories are c itself and the K − 1 others that have the largest |weight| in w_c. These weights
    come from a first fit with R_c = Ω. A second fit within R_c gives W.

Where this differs from the paper
    Eq. 2 and 3 as printed are options. The defaults were chosen by measurements on the fashion catalogue. The numbers
    below are top-1 accuracy / mean accuracy of the leaf classes on test photos, in percent. examples/LOG.md has more.

    * The penalty is λ‖W − I‖² instead of λ‖W‖² (setting `penalty`). W = I leaves the scores unchanged, so a large λ
      does no harm. From 83.4 / 53.9, λ‖W − I‖² gave 83.8 / 53.2, and λ‖W‖² 80.7 to 81.5 / 44 with the best λ. The
      weights of a category without rows to fit on stay close to the identity under λ‖W − I‖². Under λ‖W‖², nothing
      raises its score, and it is never predicted.
    * The denominator of eq. 2 sums over the level, each t with its own features f_t (setting `normaliser`). As printed,
      it sums over R_c, every t with the features f_c. The scores that support the other categories are missing from
      f_c, so P(c) can come close to 1 for most c without separating similar categories. From 82.5 / 44.6, the sum over
      the level gave 82.9 / 45.5, and the sum over R_c 67.9 / 28.1.
    * The refined score of c is the exponent w_c · f_c instead of P(c). Within a level, both have the same order. With
      the sum over R_c, it is log P(c).
    * c is always one of the K categories of T_c. Otherwise its own raw score might not enter its refined score.
    * W is fitted on validation rows by default, not on training rows (S §4.2).

Which rows
    W is fitted on the rows of one or more splits. These rows are divided into folds, and each fold is refined by
    weights fitted on the other folds (cross-fitting). The loss of these weights on the held-out folds also chooses λ.
    All other rows are refined by weights fitted on all rows of these splits.

Rows without a label
    The category path of a row may end above the leaves. The sum over j in eq. 3 then contains only the levels at which
    row i has a label, and accuracies count the row at these levels only. Its scores are refined at all levels.

Top-k files
    A scores file may contain only the k best scores of every row and level. Its refinement contains the same
    categories. Each score enters the fit as its difference to the smallest of the k, and every absent score as 0. The
    softmax is taken over these k categories. Instead of Ω, the first fit uses for each category the candidates that
    score highest in its rows. Files with all scores are read as top-k files if there are more than 3,000 categories.

Modules, each using only modules before it
    tree, related_sets                                    Ω and R_c
    dense_samples, dense_level_loss, dense_related_loss   samples with all scores, and their losses
    top_k_samples, candidates, top_k_design, top_k_loss   samples with top-k scores, and their losses
    solver, model, settings, fit, cross_fit               fitting W, and applying it to scores
    score_files, weights, accuracy, checks, write         the files that are read and written
    refinement, refine                                    the whole step, and its result
"""
