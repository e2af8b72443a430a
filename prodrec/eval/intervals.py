"""95 % confidence intervals of accuracies and of gains, from counts.

An accuracy here is Σ_s w_s p_s over strata s: one stratum holding all images for ACC, one stratum a class for MACC
(w_s = 1/classes), and MACC averaged over roots for the macro (w_s = 1/(roots · classes of the root)). The classes are
taken as fixed and their test images as drawn. S strata; n_s images, k_s of them right.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

PRIOR_IMAGES = 4.0
"""Images by which a class is drawn towards the mean of all before its variance is taken; a class with one image would
otherwise have none. Chosen by simulation (tests/eval/test_intervals.py), not by any theory."""

Counts = NDArray[np.integer]
Weights = NDArray[np.float64]


def of_accuracy(right_S: Counts, images_S: Counts, weights_S: Weights) -> tuple[float, float]:
    """Interval of Σ w_s k_s/n_s: Wilson's score interval with the effective number of images

        n* = p (1-p) / V,   V = Σ w_s² q_s (1-q_s) / n_s,   q_s = (k_s + 4p) / (n_s + 4)

    For one stratum n* is its number of images, so that ACC has Wilson's interval itself. q_s is drawn towards the mean,
    so that V does not vanish with classes of one image; where all or none are right, n* = 1 / Σ w_s²/n_s.
    """
    p = float((weights_S * right_S / images_S).sum())
    if right_S.any() and (right_S < images_S).any():  # asked of the counts: the sum p may miss 1 by rounding
        q_S = (right_S + PRIOR_IMAGES * p) / (images_S + PRIOR_IMAGES)
        effective = p * (1 - p) / float((weights_S**2 * q_S * (1 - q_S) / images_S).sum())
    else:
        p = float(right_S.any())
        effective = 1 / float((weights_S**2 / images_S).sum())
    return wilson(p, effective)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share p seen in n images."""
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


def of_paired_gain(better_S: Counts, worse_S: Counts, images_S: Counts, weights_S: Weights) -> tuple[float, float]:
    """Interval of Σ w_s (b_s - c_s)/n_s: of n_s images, b_s only the second run has right, and c_s only the first.

    Wald's interval of paired shares. Before the variance is taken, every stratum is drawn towards the mean shares,
    and those by Agresti and Min's half image a cell (2005), so that it does not vanish where the runs agree.
    """
    gain = float((weights_S * (better_S - worse_S) / images_S).sum())
    better, worse = _drawn_in(better_S, images_S, weights_S), _drawn_in(worse_S, images_S, weights_S)
    variance_S = better + worse - (better - worse) ** 2
    half = Z * math.sqrt(float((weights_S**2 * variance_S / images_S).sum()))
    return max(-1.0, gain - half), min(1.0, gain + half)


def _drawn_in(part_S: Counts, images_S: Counts, weights_S: Weights) -> Weights:
    """Shares of `part_S`, drawn towards their mean, which is itself smoothed by half an image."""
    effective = 1 / float((weights_S**2 / images_S).sum())
    mean = (float((weights_S * part_S / images_S).sum()) * effective + 0.5) / (effective + 2)
    shares: Weights = (part_S + PRIOR_IMAGES * mean) / (images_S + PRIOR_IMAGES)
    return shares


def of_unpaired_gain(
    first: float, first_interval: tuple[float, float], second: float, second_interval: tuple[float, float]
) -> tuple[float, float]:
    """Interval of second - first from their own intervals, where the images differ (Newcombe 1998, method 10)."""
    gain = second - first
    below = math.hypot(second - second_interval[0], first_interval[1] - first)
    above = math.hypot(second_interval[1] - second, first - first_interval[0])
    return max(-1.0, gain - below), min(1.0, gain + above)


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
