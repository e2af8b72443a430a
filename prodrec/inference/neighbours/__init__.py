"""The vote of the nearest training photos, and the operating points at which a run scores.

With z the input of the deepest level's classifier, scaled to length 1 and projected, N the k training photos nearest to
a photo, and n_c the number of training photos of class c:

    w_i = exp((cos(z, z_i) − max_j cos(z, z_j)) / T)                       for i in N
    v_c ∝ n_c^(−ρ) Σ_{i in N, y_i = c} w_i                                 the vote, with Σ_c v_c = 1
    p_c = (1 − β) softmax_c(o − τ log π) + β v_c                           o: scores for photos as in training

A class without a training photo, for which none can vote (`prodrec add-classes`), would lose β of its probability to
the others. The vote therefore shares out the probability S of the classes that can have votes:

    p_c = (1 − β) s_c + β S v_c  if n_c > 0,  s_c otherwise;   s = softmax(o − τ log π),  S = Σ_{n_c > 0} s_c

ρ corrects the vote for the frequencies of the classes, and τ does so for the scores (Menon et al. 2021). A product,
with its duplicates, votes once, by its nearest photo. k, T, ρ, β and τ are an operating point; `choose.py` chooses two
of them on the validation photos: *natural* for photos as they come, *balanced* for classes that matter equally.

    training_features.py   the vectors of the training photos, and their file
    collect.py             a network over the training photos
    projection.py          features become shorter vectors
    search.py              the nearest of them
    lists.py               lists of vectors, of which approximate search needs only some
    choose_lists.py        exact or approximate search, and the number of lists
    vote.py                the equations above
    fused.py               a network that scores at an operating point
    operating_points.py    the operating points of a run, and their file
    seen.py                the features of validation photos
    choose.py              the choice of operating points on them
"""
