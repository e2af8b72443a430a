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
