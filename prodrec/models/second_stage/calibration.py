"""The scale of scores that were not fitted by a loss, and the prior that they contain, chosen on validation photos.

Guo et al. 2017, "On calibration of modern neural networks", §4.2 (temperature scaling): all scores are multiplied by
the factor a > 0 with the smallest mean of

    −log softmax(a o + t log π)_y

over the photos as they come. The factor changes no class, and makes probabilities out of scores that are too large or
too small: Gaussians with one variance in hundreds of correlated features are certain of every photo. t is 1 for scores
of equally frequent classes. For tau-norm, which may remove the prior in part only, t is chosen too.

Shapes: M validation photos, D features, C classes, N of this rank.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prodrec.core.base import console, dist
from prodrec.core.base.top_k_options import TopKOptions
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage.features import FrozenFeatures

SMALLEST_OCTAVE, LARGEST_OCTAVE = -12.0, 4.0
"""log2 of the smallest and the largest factor. Validation photos without an error would ask for an infinite one."""
STEPS = 16
"""Evaluations of the golden-section search, which leave an interval of 2 % of an octave."""
STEPS_PER_OCTAVE = 16
"""The factor is rounded to these steps of 4 %, so that rounding errors of other ranks or machines rarely change it."""
GOLDEN = (math.sqrt(5) - 1) / 2
ROWS_AT_ONCE = 1024
LOW_SCORE = -1e4
"""Bias of a class that is never predicted, which the factor leaves as it is. It is finite in float16."""


def calibrate(
    classifier: Classifier, validation: FrozenFeatures | None, *, priors: tuple[float, ...]
) -> tuple[float | None, float]:
    """Multiply the scores of `classifier` by the best factor, and return it with the best of `priors`, the values of t.

    classifier: without logit adjustment, with the numbers of training images (`Classifier.set_prior`)

    Return None and the last of `priors`, without a change, if there is no validation photo of a class that can be
    predicted. All ranks must call this.
    """
    rows_M = _rows(classifier, validation)
    if validation is None or not len(rows_M):
        return None, priors[-1]
    with console.progress("scale", total=STEPS * len(priors), unit="values") as advance:

        def loss(octave: float, prior: float) -> float:
            advance()
            return _loss(classifier, validation, rows_M, 2**octave, prior)

        best = [(*_minimum(functools.partial(loss, prior=prior)), prior) for prior in priors]
    _, octave, prior = min(best)
    factor = float(2 ** (round(octave * STEPS_PER_OCTAVE) / STEPS_PER_OCTAVE))
    with torch.no_grad():
        classifier.weight.mul_(factor)
        classifier.bias.copy_(_scaled(classifier.bias.detach(), factor))
    return factor, prior


def _scaled(bias_N: Tensor, factor: float) -> Tensor:
    return torch.where(bias_N <= LOW_SCORE, LOW_SCORE, bias_N * factor)


def _rows(classifier: Classifier, validation: FrozenFeatures | None) -> NDArray[np.int64]:
    """Return the validation photos of classes that can be predicted."""
    if validation is None:
        return np.zeros(0, np.int64)
    is_low_C = torch.zeros(classifier.classes, dtype=torch.int64, device=classifier.bias.device)
    local = slice(classifier.first_class, classifier.first_class + len(classifier.bias))
    is_low_C[local] = (classifier.bias.detach() <= LOW_SCORE).long()
    can_be_predicted_C = (dist.all_reduce_sum(is_low_C) == 0).cpu().numpy()
    return np.flatnonzero(can_be_predicted_C[validation.class_N]).astype(np.int64)


def _loss(
    classifier: Classifier, validation: FrozenFeatures, rows_M: NDArray[np.int64], factor: float, prior: float
) -> float:
    """Return the mean of −log softmax(factor · scores + prior · log π) of the labels."""
    device = classifier.weight.device
    bias_N = classifier.bias.detach().clone()
    total = torch.zeros((), dtype=torch.float64, device=device)
    with torch.no_grad():
        classifier.bias.copy_(_scaled(bias_N, factor))
        for start in range(0, len(rows_M), ROWS_AT_ONCE):
            rows_B = rows_M[start : start + ROWS_AT_ONCE]
            x_BD, labels_B = validation.read_all_views(rows_B[dist.shard_slice(len(rows_B))], device)
            options = TopKOptions(logsumexp=True, also_BJ=labels_B.unsqueeze(1))
            best = classifier.top_k(x_BD * factor, 1, tau=-prior, options=options)
            assert best.logsumexp_B is not None and best.also_BJ is not None
            total += (best.logsumexp_B - best.also_BJ[:, 0]).double().sum()
        classifier.bias.copy_(bias_N)
    return float(dist.all_reduce_sum(total)) / len(rows_M)


def _minimum(function: Callable[[float], float]) -> tuple[float, float]:
    """Return the minimum and its place by golden-section search. The loss is convex in the factor, so there is one."""
    low, high = SMALLEST_OCTAVE, LARGEST_OCTAVE
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(STEPS - 2):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = function(right)
    return min((at_left, left), (at_right, right))
