"""MCR refinement (S §3.3): multiclass regression that fuses the scores of all levels of the category tree.

f holds the unnormalised scores of all refined levels side by side, w_c the weights of category c inside R_c (eq. 4),
and the refined score of c is w_c · f_c; P(c) is its softmax (eq. 2). Modules, from the bottom: tree and pattern (Ω and
R_c), dense, related and kept (losses with their gradients), solver, weights (apply, save, read), fit, joined (score
files side by side), write, refine.
"""
