"""95 % confidence intervals of accuracies and of gains, from counts.

An accuracy here is Σ_s w_s p_s over strata s: one stratum holding all images for ACC, one stratum a class for MACC
(w_s = 1/classes), and MACC averaged over roots for the macro (w_s = 1/(roots · classes of the root)). The classes are
taken as fixed and their test images as drawn. S strata; n_s images, k_s of them right; G groups judged at once.
"""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

PRIOR_IMAGES = 4.0
"""Images by which a class is drawn towards the mean of all before its variance is taken; a class with one image would
otherwise have none. Chosen by simulation (tests/eval/test_intervals.py), not by any theory."""

Counts = NDArray[np.integer]
Weights = NDArray[np.float64]
Interval = tuple[float, float]
Intervals = tuple[Weights, Weights]


def of_accuracy(right_S: Counts, images_S: Counts, weights_S: Weights) -> Interval:
    """Interval of Σ w_s k_s/n_s; see `of_accuracies`."""
    return _only(of_accuracies(right_S[None], images_S[None], weights_S[None]))


def of_accuracies(right_GS: Counts, images_GS: Counts, weights_GS: Weights) -> Intervals:
    """Intervals of Σ w_s k_s/n_s for G groups: Wilson's score interval with the effective number of images

        n* = p (1-p) / V,   V = Σ w_s² q_s (1-q_s) / n_s,   q_s = (k_s + 4p) / (n_s + 4)

    For one stratum n* is its number of images, so that ACC has Wilson's interval itself. q_s is drawn towards the mean,
    so that V does not vanish with classes of one image; where all or none are right, n* = 1 / Σ w_s²/n_s.
    """
    p_G = (weights_GS * right_GS / images_GS).sum(axis=-1)
    # asked of the counts: the sum p may miss 1 by rounding
    mixed_G = right_GS.any(axis=-1) & (right_GS < images_GS).any(axis=-1)
    q_GS = (right_GS + PRIOR_IMAGES * p_G[:, None]) / (images_GS + PRIOR_IMAGES)
    variance_G = (weights_GS**2 * q_GS * (1 - q_GS) / images_GS).sum(axis=-1)
    effective_G = 1 / (weights_GS**2 / images_GS).sum(axis=-1)
    np.divide(p_G * (1 - p_G), variance_G, out=effective_G, where=mixed_G)
    return _wilson(np.where(mixed_G, p_G, right_GS.any(axis=-1)), effective_G)


def wilson(p: float, n: float) -> Interval:
    """Wilson's score interval (1927) of a share p seen in n images."""
    return _only(_wilson(np.array([p]), np.array([n])))


def _wilson(p_G: Weights, n_G: Weights) -> Intervals:
    centre = (p_G + Z**2 / (2 * n_G)) / (1 + Z**2 / n_G)
    half = Z / (1 + Z**2 / n_G) * np.sqrt(p_G * (1 - p_G) / n_G + Z**2 / (4 * n_G**2))
    return np.maximum(0.0, np.minimum(p_G, centre - half)), np.minimum(1.0, np.maximum(p_G, centre + half))


def of_paired_gain(better_S: Counts, worse_S: Counts, images_S: Counts, weights_S: Weights) -> Interval:
    """Interval of Σ w_s (b_s - c_s)/n_s; see `of_paired_gains`."""
    return _only(of_paired_gains(better_S[None], worse_S[None], images_S[None], weights_S[None]))


def of_paired_gains(better_GS: Counts, worse_GS: Counts, images_GS: Counts, weights_GS: Weights) -> Intervals:
    """Intervals of Σ w_s (b_s - c_s)/n_s: of n_s images, b_s only the second run has right, and c_s only the first.

    Wald's interval of paired shares. Before the variance is taken, every stratum is drawn towards the mean shares,
    and those by Agresti and Min's half image a cell (2005), so that it does not vanish where the runs agree.
    """
    gain_G = (weights_GS * (better_GS - worse_GS) / images_GS).sum(axis=-1)
    better, worse = _drawn_in(better_GS, images_GS, weights_GS), _drawn_in(worse_GS, images_GS, weights_GS)
    variance_GS = better + worse - (better - worse) ** 2
    half_G = Z * np.sqrt((weights_GS**2 * variance_GS / images_GS).sum(axis=-1))
    return np.maximum(-1.0, gain_G - half_G), np.minimum(1.0, gain_G + half_G)


def _drawn_in(part_GS: Counts, images_GS: Counts, weights_GS: Weights) -> Weights:
    """Shares of `part_GS`, drawn towards their mean, which is itself smoothed by half an image."""
    effective_G = 1 / (weights_GS**2 / images_GS).sum(axis=-1)
    mean_G = ((weights_GS * part_GS / images_GS).sum(axis=-1) * effective_G + 0.5) / (effective_G + 2)
    shares: Weights = (part_GS + PRIOR_IMAGES * mean_G[:, None]) / (images_GS + PRIOR_IMAGES)
    return shares


def _only(ends_G: Intervals) -> Interval:
    """The interval of the only group."""
    return float(ends_G[0][0]), float(ends_G[1][0])


@overload
def of_unpaired_gain(first: float, first_interval: Interval, second: float, second_interval: Interval) -> Interval: ...


@overload
def of_unpaired_gain(
    first: Weights, first_interval: Intervals, second: Weights, second_interval: Intervals
) -> Intervals: ...


def of_unpaired_gain(first: Any, first_interval: Any, second: Any, second_interval: Any) -> Any:
    """Interval of second - first from their own intervals, where the images differ (Newcombe 1998, method 10)."""
    gain = second - first
    below = np.hypot(second - second_interval[0], first_interval[1] - first)
    above = np.hypot(second_interval[1] - second, first - first_interval[0])
    ends = np.maximum(-1.0, gain - below), np.minimum(1.0, gain + above)
    return tuple(float(end) if np.ndim(end) == 0 else end for end in ends)


def of_mean(images_V: Counts, values_V: Weights) -> tuple[float, tuple[float, float]]:
    """Mean of a quantity that has value values_V[v] in images_V[v] images, and its interval.

    Wilson's interval on the scale on which the values reach from 0 to 1, with n* = p (1-p) / V images, V the variance
    of the mean; for two values it is Wilson's interval itself.
    """
    low, high = float(values_V.min()), float(values_V.max())
    n = float(images_V.sum())
    unit_V = (values_V - low) / (high - low)
    p = float((images_V * unit_V).sum() / n)
    variance = float((images_V * (unit_V - p) ** 2).sum() / n) / n
    ends = wilson(p, p * (1 - p) / variance if variance > 0 else n)
    return low + (high - low) * p, (low + (high - low) * ends[0], low + (high - low) * ends[1])


def of_paired_mean_gain(images_VV: Counts, values_V: Weights, counts_V: NDArray[np.bool_]) -> tuple[float, float]:
    """Interval of the gain in a mean over the images with counts_V, from what both runs say about each image.

    images_VV: images by value of the first run (rows) and of the second (columns). A run's mean is over the images that
    count for this run, such as its own mistakes: with shares P and means m, an image moves the gain by
    c_b (v_b - m_b) / P_b - c_a (v_a - m_a) / P_a (delta method). Where all count this is the interval of paired
    differences. For the variance every corner has half an image more, as Agresti and Min do with shares (2005).
    """
    share_VV = images_VV.astype(np.float64)
    ends = np.flatnonzero(counts_V)[[0, -1]]
    gain = _mean(share_VV.sum(axis=0), values_V, counts_V)[0] - _mean(share_VV.sum(axis=1), values_V, counts_V)[0]
    share_VV[np.ix_(ends, ends)] += 0.5
    n = float(share_VV.sum())
    (first, of_first), (second, of_second) = (_mean(share_VV.sum(axis=axis), values_V, counts_V) for axis in (1, 0))
    moves_VV = (counts_V * (values_V - second) / of_second)[None] - (counts_V * (values_V - first) / of_first)[:, None]
    half = Z * math.sqrt(float((share_VV * moves_VV**2).sum()) / n / n)
    span = float(np.ptp(values_V[counts_V]))
    return max(-span, gain - half), min(span, gain + half)


def _mean(images_V: Weights, values_V: Weights, counts_V: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean over the images that count, and their share in all."""
    counting = float(images_V[counts_V].sum())
    return float((images_V * values_V)[counts_V].sum() / counting), counting / float(images_V.sum())
