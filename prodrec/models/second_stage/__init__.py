"""Second stages: new weights of the deepest level's classifier, fitted on the features of the frozen network.

With x the input of the classifier, N training photos, n_c of them of class c, and C classes:

    crt       W, b anew, trained on photos that are drawn class by class (Kang et al. 2020, §4)
    lws       w_c ← f_c w_c, the scales f trained likewise (Kang et al. 2020, §4)
    tau-norm  w_c ← w_c / ||w_c||^τ (Kang et al. 2020, §4)
    ncm       the class with the nearest mean (Kang et al. 2020, §4; Mensink et al. 2013)
    lda       Gaussian classes with one shared covariance (Fisher 1936), shrunk as Ledoit and Wolf (2004) do

Kang et al. 2020 is "Decoupling representation and classifier for long-tailed recognition". Photos alone are used,
without titles, for networks with titles too.

**The prior of the new scores.** crt and lws draw the classes equally often, and the Gaussians of ncm and lda have equal
priors. Their scores o are thus those of logit adjustment by τ = 1 (Menon et al. 2021): softmax(o) is the probability
of a class among equally frequent ones, and softmax(o + log π) that among photos as they come, with π_c = n_c/N. The
new classifier therefore has `logit_adjustment` 1, whatever the network was trained with, and
`Classifier.adjusted_bias(tau)` adds (1 − τ) log π: nothing at τ = 1, the whole prior at τ = 0. The operating points
choose between these as for any run. tau-norm removes what frequency did to the lengths of the weights, which may be
all of the prior or nothing (the weights of a short training with AdamW have nearly equal lengths), so validation
photos choose its `logit_adjustment`. The other levels keep their classifiers and their own τ.

**Scale.** The vote of neighbours and log π are added to softmax(o), so the scale of o matters although it changes no
class. crt and lws have that of their loss; the scores of the others are multiplied by a factor that is chosen on
validation photos (`calibration.py`).

Measured on 137 leaves of a fashion shop (mobilenet_v2, 28,659 photos, one seed; test top-1 and mean accuracy of the
classes in %, without neighbours): the trained classifier 85.1 and 54.6, at τ = 1 79.1 and 63.6; crt 82.6 and 63.1; lda
83.1 and 64.3; ncm 77.1 and 62.7; lws 82.6 and 58.5; tau-norm 85.0 and 54.1, with τ = 0.1.

    features.py      the stored features
    sampling.py      draws photos class by class
    retraining.py    crt and lws
    row_scales.py    updates of the scales of lws
    tau_norm.py      tau-norm
    class_means.py   means and covariance of the classes
    gaussians.py     ncm and lda
    calibration.py   the scale of the scores, and the prior that they lack
    settings.py      the settings
    fit.py           the table of the methods
"""
