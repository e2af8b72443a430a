"""The vote of the nearest training photos, and the operating points at which a run scores.

With z the input of the deepest level's classifier, scaled to length 1 and projected, N the k training photos nearest to
a photo, and n_c the number of training photos of class c:

    w_i = exp((cos(z, z_i) − max_j cos(z, z_j)) / T)                       for i in N
    v_c ∝ n_c^(−ρ) Σ_{i in N, y_i = c} w_i                                 the vote, with Σ_c v_c = 1
    p_c = (1 − β) softmax_c(o − τ log π) + β v_c                           o: scores for photos as in training

ρ corrects the vote for the frequencies of the classes, and τ does so for the scores (Menon et al. 2021). A product,
with its duplicates, votes once, by its nearest photo. k, T, ρ, β and τ are an operating point; `choose.py` chooses two
of them on the validation photos: *natural* for photos as they come, *balanced* for classes that matter equally.

    training_features.py   the vectors of the training photos, and their file
    collect.py             a network over the training photos
    projection.py          features become shorter vectors
    search.py              the nearest of them
    vote.py                the equations above
    fused.py               a network that scores at an operating point
    operating_points.py    the operating points of a run, and their file
    choose.py              their choice on validation photos
"""
