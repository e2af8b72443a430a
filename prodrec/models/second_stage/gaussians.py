"""ncm and lda: the classifier of Gaussian classes with means μ_c, one covariance Σ and equal priors.

        log p(c|x) = w_c · x + b_c + const,   w_c = Σ⁻¹ (μ_c − g),   b_c = −(μ_c + g) · w_c / 2

g is the mean of the means. It adds the same to the scores of all classes, so it changes no probability, and keeps the
scores small, which are stored in float16.

**ncm** (nearest class mean: Mensink et al. 2013, "Distance-based image classification"; Kang et al. 2020, §4) has
Σ = σ² I, with σ² the mean variance within the classes: the best class is that of the smallest ||x − μ_c||. Kang et al.
also compare by the cosine. Its best class is that of the weights μ_c / ||μ_c||, but these scores are ||x|| times the
cosine: their softmax would be sharper for photos with longer features, and neither log π nor the vote of neighbours
could be added to it on one scale. So the Euclidean form is used.

**lda** (linear discriminant analysis) has Σ = (1 − s) S + s tr(S)/D I, with S the pooled covariance within the classes
and s as Ledoit and Wolf choose it.

A class without training photos has no mean. Its weights are 0 and its bias is LOW_SCORE, so it is never predicted
and remains finite in float16.

Shapes: D features, N classes of this rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from prodrec.core.base.errors import BadOption
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage.calibration import LOW_SCORE
from prodrec.models.second_stage.class_means import CLASSES_AT_ONCE, ClassMeans, class_means, covariance, variance
from prodrec.models.second_stage.features import FrozenFeatures

LARGEST_WIDTH = 8192
"""Longest features of lda: their covariance takes 0.5 GiB in float64, and its factorisation seconds."""


def fit_ncm(classifier: Classifier, features: FrozenFeatures) -> dict[str, Any]:
    """Set weights and bias of `classifier`, and return σ². All ranks must call this.

    If no class has two different photos, σ² is unknown, and 1 is used.
    """
    device = classifier.weight.device
    means = class_means(features, classifier.first_class, len(classifier.weight), device)
    sigma2 = variance(features, means, classifier.first_class) or 1.0
    _set_gaussians(classifier, means, lambda mean_nD: mean_nD / sigma2)
    return {"variance": sigma2}


def fit_lda(classifier: Classifier, features: FrozenFeatures, *, shrinkage: float | None) -> dict[str, Any]:
    """Set weights and bias of `classifier`, and return the shrinkage. All ranks must call this.

    shrinkage: s; None takes that of Ledoit and Wolf

    Raise BadOption for features that are too long, and if no class has two different photos or Σ has no inverse.
    """
    if features.width > LARGEST_WIDTH:
        raise BadOption(
            f"--method lda: the network's features have {features.width:,} numbers, and a covariance of more than "
            f"{LARGEST_WIDTH:,} does not fit; use --method ncm."
        )
    means = class_means(features, classifier.first_class, len(classifier.weight), classifier.weight.device)
    pooled = covariance(features, means, classifier.first_class)
    if not pooled.mean_variance:
        raise BadOption("--method lda: no class has two different training photos; use --method ncm or crt.")
    shrinkage = pooled.ledoit_wolf() if shrinkage is None else shrinkage
    factor_DD, failed = torch.linalg.cholesky_ex(pooled.shrunk(shrinkage))
    if int(failed):
        raise BadOption(
            f"--shrinkage {shrinkage:g}: the covariance of {features.width:,} numbers from {pooled.samples:,} photos "
            "has no inverse; give a larger one, or omit it."
        )
    _set_gaussians(classifier, means, lambda mean_nD: torch.cholesky_solve(mean_nD.t(), factor_DD).t())
    return {"shrinkage": shrinkage}


def _set_gaussians(classifier: Classifier, means: ClassMeans, solve: Callable[[Tensor], Tensor]) -> None:
    """Set weights and bias. `solve` returns the rows Σ⁻¹ m of rows m, float64 [n, D] both."""
    centre_D = means.centre().double()
    with torch.no_grad():
        for start in range(0, len(classifier.weight), CLASSES_AT_ONCE):
            classes = slice(start, start + CLASSES_AT_ONCE)
            mean_nD, seen_n = means.mean_ND[classes].double(), means.seen_N[classes]
            weight_nD = solve(mean_nD - centre_D) * seen_n.unsqueeze(1)
            classifier.weight[classes] = weight_nD.to(classifier.weight.dtype)
            bias_n = -((mean_nD + centre_D) * weight_nD).sum(1) / 2
            classifier.bias[classes] = torch.where(seen_n, bias_n, LOW_SCORE).to(classifier.bias.dtype)
