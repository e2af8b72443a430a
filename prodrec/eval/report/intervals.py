"""95 % confidence intervals of accuracies, means and gains, computed from counts.

An accuracy is Σ_s w_s p_s over strata s. ACC has one stratum with all images. MACC has one stratum per class with
w_s = 1/classes. The macro average over roots has one stratum per class with w_s = 1/(roots · classes of the root).
The classes are fixed; their test images are a random sample. If products have several photos, the counts are multiplied
by the share of photos that counts as independent (see product_squares.py), and need not be whole numbers.

Shapes: S strata; G groups that are computed together; V values of a quantity.
Symbols: n_s images of stratum s, k_s of them correct.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

PRIOR_IMAGES = 4.0
"""Number of images with the overall mean that are added to every stratum before its variance is computed.

Without them, a class with one image would have variance 0. The value was chosen by simulation
(tests/eval/report/test_intervals.py); no theory supports it.
"""

Counts = NDArray[np.integer] | NDArray[np.floating]
Floats = NDArray[np.float64]
Interval = tuple[float, float]
Intervals = tuple[Floats, Floats]
"""Lower and upper ends, one of each per group."""


def accuracy_interval(correct_S: Counts, images_S: Counts, weights_S: Floats) -> Interval:
    """Return the interval of Σ w_s k_s/n_s; see `accuracy_intervals`."""
    return _single(accuracy_intervals(correct_S[None], images_S[None], weights_S[None]))


def accuracy_intervals(correct_GS: Counts, images_GS: Counts, weights_GS: Floats) -> Intervals:
    """Return the intervals of Σ w_s k_s/n_s for G groups: Wilson's score interval with n* effective images.

        n* = p (1-p) / V,   V = Σ w_s² q_s (1-q_s) / n_s,   q_s = (k_s + 4p) / (n_s + 4)

    With one stratum, n* is the number of images and the interval is Wilson's own. Shrinking q_s towards p keeps V
    above 0 when classes have one image each. If all or no images are correct, n* = 1 / Σ w_s²/n_s.
    """
    p_G = (weights_GS * correct_GS / images_GS).sum(axis=-1)
    # Tested on the counts because p may miss 1 by rounding.
    mixed_G = correct_GS.any(axis=-1) & (correct_GS < images_GS).any(axis=-1)
    q_GS = (correct_GS + PRIOR_IMAGES * p_G[:, None]) / (images_GS + PRIOR_IMAGES)
    variance_G = (weights_GS**2 * q_GS * (1 - q_GS) / images_GS).sum(axis=-1)
    effective_G = 1 / (weights_GS**2 / images_GS).sum(axis=-1)
    np.divide(p_G * (1 - p_G), variance_G, out=effective_G, where=mixed_G)
    return _wilson_intervals(np.where(mixed_G, p_G, correct_GS.any(axis=-1)), effective_G)


def wilson_interval(p: float, n: float) -> Interval:
    """Return Wilson's score interval (1927) of a share p observed in n images."""
    return _single(_wilson_intervals(np.array([p]), np.array([n])))


def _wilson_intervals(p_G: Floats, n_G: Floats) -> Intervals:
    centre_G = (p_G + Z**2 / (2 * n_G)) / (1 + Z**2 / n_G)
    half_G = Z / (1 + Z**2 / n_G) * np.sqrt(p_G * (1 - p_G) / n_G + Z**2 / (4 * n_G**2))
    return np.maximum(0.0, np.minimum(p_G, centre_G - half_G)), np.minimum(1.0, np.maximum(p_G, centre_G + half_G))


def paired_gain_errors(better_GS: Counts, worse_GS: Counts, images_GS: Counts, weights_GS: Floats) -> Floats:
    """Return the standard errors of Σ w_s (b_s - c_s)/n_s for G groups; Wald's interval is ± Z times as wide.

    Of the n_s images, b_s are correct in the second run only and c_s in the first run only. Before the variance is
    estimated, the shares of every stratum are shrunk towards their means, and each mean is smoothed by half an image
    (Agresti and Min 2005). The variance is therefore above 0 even if both runs agree on all images.

    Only b + c, the sum of squares of the images' differences, and b - c, their sum, enter. The differences may
    therefore also be fractions, such as those of means over seeds.
    """
    p_better_GS = _shrunk_shares(better_GS, images_GS, weights_GS)
    p_worse_GS = _shrunk_shares(worse_GS, images_GS, weights_GS)
    variance_GS = p_better_GS + p_worse_GS - (p_better_GS - p_worse_GS) ** 2
    errors_G: Floats = np.sqrt((weights_GS**2 * variance_GS / images_GS).sum(axis=-1))
    return errors_G


def _shrunk_shares(counts_GS: Counts, images_GS: Counts, weights_GS: Floats) -> Floats:
    """Return the shares counts/images, shrunk towards their weighted mean, which is smoothed by half an image."""
    effective_G = 1 / (weights_GS**2 / images_GS).sum(axis=-1)
    mean_G = ((weights_GS * counts_GS / images_GS).sum(axis=-1) * effective_G + 0.5) / (effective_G + 2)
    shares_GS: Floats = (counts_GS + PRIOR_IMAGES * mean_G[:, None]) / (images_GS + PRIOR_IMAGES)
    return shares_GS


def _single(ends_G: Intervals) -> Interval:
    """Return the interval of the only group."""
    return float(ends_G[0][0]), float(ends_G[1][0])


@overload
def unpaired_gain_interval(
    first: float, first_interval: Interval, second: float, second_interval: Interval
) -> Interval: ...


@overload
def unpaired_gain_interval(
    first: Floats, first_interval: Intervals, second: Floats, second_interval: Intervals
) -> Intervals: ...


def unpaired_gain_interval(first: Any, first_interval: Any, second: Any, second_interval: Any) -> Any:
    """Return the interval of second - first for runs on different images (Newcombe 1998, method 10)."""
    gain = second - first
    below = np.hypot(second - second_interval[0], first_interval[1] - first)
    above = np.hypot(second_interval[1] - second, first - first_interval[0])
    ends = np.maximum(-1.0, gain - below), np.minimum(1.0, gain + above)
    return tuple(float(end) if np.ndim(end) == 0 else end for end in ends)


def mean_and_interval(images_V: Counts, values_V: Floats) -> tuple[float, Interval]:
    """Return the mean of a quantity that has the value values_V[v] in images_V[v] images, and the mean's interval.

    The values are scaled to the range 0 to 1. The interval is Wilson's with n* = p (1-p) / V images, where V is the
    variance of the mean. With two values it is Wilson's own interval.
    """
    low, high = float(values_V.min()), float(values_V.max())
    n = float(images_V.sum())
    unit_V = (values_V - low) / (high - low)
    p = float((images_V * unit_V).sum() / n)
    variance = float((images_V * (unit_V - p) ** 2).sum() / n) / n
    ends = wilson_interval(p, p * (1 - p) / variance if variance > 0 else n)
    return low + (high - low) * p, (low + (high - low) * ends[0], low + (high - low) * ends[1])


def paired_mean_gain_variance(images_VV: Counts, values_V: Floats, included_V: NDArray[np.bool_]) -> float:
    """Return the variance of the gain in a mean between two runs on the same images.

    images_VV:  images by the value of the first run (rows) and of the second run (columns).
    included_V: the values that enter the mean. Each run has its own set of images with such values, for example its
                mistakes, and its mean is over these.

    Let P_a and P_b be the runs' shares of included images, and m_a and m_b their means. An image with the values v_a
    and v_b moves the gain by c_b (v_b - m_b) / P_b - c_a (v_a - m_a) / P_a, where c is 1 for an included value and 0
    otherwise (delta method). If all values are included, this is the variance of paired differences. Half an image is
    added to every corner, as Agresti and Min do for shares (2005).
    """
    weights_VV = images_VV.astype(np.float64)
    corners = np.flatnonzero(included_V)[[0, -1]]
    weights_VV[np.ix_(corners, corners)] += 0.5
    n = float(weights_VV.sum())
    (mean_a, share_a), (mean_b, share_b) = (
        _included_mean(weights_VV.sum(axis=axis), values_V, included_V) for axis in (1, 0)
    )
    move_a_V, move_b_V = (included_V * (values_V - m) / share for m, share in ((mean_a, share_a), (mean_b, share_b)))
    moves_VV = move_b_V[None] - move_a_V[:, None]
    return float((weights_VV * moves_VV**2).sum()) / n / n


def _included_mean(images_V: Floats, values_V: Floats, included_V: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean over the included images and their share of all images."""
    included = float(images_V[included_V].sum())
    return float((images_V * values_V)[included_V].sum() / included), included / float(images_V.sum())
