"""Intervals and tests that cover the choice of the test images and the seeds of the runs.

A column is a recipe with its K seeds. The gain of column b over column a is the difference of their mean accuracies,

    g = Σ_s w_s mean_{i in s} d_i,     d_i = mean_k x_ik(b) - mean_k x_ik(a)

where x_ik is 1 if the run with seed k is right on image i, and the strata s with the weights w_s are those of
strata.py: ACC, or MACC with one stratum per class. The test images and the seeds are drawn at random. Both move g:

    V_images   the variance of g over images, computed from d_i (`intervals.paired_gain_errors`)
    V_seeds    s² (1/K_a + 1/K_b), where s² is the variance of the accuracies over seeds, pooled over both columns

    t = g / √(V_images + V_seeds),   df = (V_images + V_seeds)² df_seeds / V_seeds²,   df_seeds = K_a + K_b - 2

This is min F' of Clark (1973, *The language-as-fixed-effect fallacy*), a test for two crossed random factors: its
squared t is F1 F2 / (F1 + F2), with F1 = g²/V_images and F2 = g²/V_seeds. df is Satterthwaite's (1946), with infinitely
many degrees of freedom for the images. Bouthillier et al. (2021, *Accounting for variance in machine learning
benchmarks*) show why seeds must be counted. min F' rejects less often than stated where a seed changes single images
more than the accuracy, because V_images and V_seeds then both contain this variance.
`tests/eval/report/test_seed_intervals.py` measures false positive rates of 1 to 7 % at a level of 5 %, where a test
over the images alone reaches 50 %.

The variance is pooled, and not that of differences of equal seeds: networks of two recipes share little by the same
number, and pairing would leave K - 1 instead of 2K - 2 degrees of freedom. A column with one seed takes the variance of
the other. The exception are columns with the same networks, such as two operating points, or scores and their
refinement: what a seed does to a network is then in both, and V_seeds is the variance of the K differences over K.

An accuracy of one column has V_seeds = s²/K with K - 1 degrees of freedom. Its interval over images, and that of a gain
between columns on other images, are not symmetric; each side has its own V_images (Zou and Donner 2008, who call it
MOVER). The interval over images is the mean of those of the runs, which is not narrower than that of their mean.

With one seed everywhere, V_seeds is unknown and taken as 0: intervals and tests are about these networks on other
images, not about their recipes.

Shapes: K seeds of a column; G groups of images that are computed together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.report.intervals import Interval, Z

LEVEL = 0.05
"""Level of all tests; intervals have 95 %."""

MOST_DEGREES = 1e9
"""Largest number of degrees of freedom; more are a normal distribution to all digits."""

Floats = NDArray[np.float64]


class SeedVariance(NamedTuple):
    """The variance of a value over seeds, a number or float64 [G], and its degrees of freedom; 0 if it is unknown."""

    variance: Any
    df: int


UNKNOWN = SeedVariance(0.0, 0)


def seed_variance(columns: Sequence[Sequence[Any]], *, same_networks: bool = False) -> SeedVariance:
    """Return V_seeds of the value of one column, or of the gain of one over another.

    columns:       for each column, the values of its runs: numbers, or float64 [G]
    same_networks: whether run k of both columns is the same network, scored in two ways
    """
    if same_networks:
        first, second = columns
        columns = [[b - a for a, b in zip(first, second, strict=True)]]
    df = sum(len(values) - 1 for values in columns)
    if not df:
        return UNKNOWN
    squares = sum(np.var(values, axis=0) * len(values) for values in columns)
    return SeedVariance(squares / df * sum(1 / len(values) for values in columns), df)


def over_images_and_seeds(value: Any, ends: tuple[Any, Any], seeds: SeedVariance, *, lowest: float) -> tuple[Any, Any]:
    """Return the interval over images and seeds of a value up to 1, given `ends`, its interval over images.

    lowest: 0 for an accuracy, -1 for a gain
    """
    if seeds.df:
        below, above = (_half_width(abs(value - end) / Z, seeds) for end in ends)
        ends = value - below, value + above
    return np.maximum(lowest, ends[0]), np.minimum(1.0, ends[1])


def gain_interval(gain: Any, image_error: Any, seeds: SeedVariance) -> tuple[Any, Any]:
    """Return the interval of a gain on the same images, given its standard error over images."""
    half = Z * image_error
    return over_images_and_seeds(gain, (gain - half, gain + half), seeds, lowest=-1.0)


def _half_width(image_error: Any, seeds: SeedVariance) -> Any:
    """Return half the width of the interval, given the standard error over images."""
    variance = image_error**2 + seeds.variance
    return _quantile(_degrees(variance, seeds)) * np.sqrt(variance)


def _degrees(variance: Any, seeds: SeedVariance) -> Any:
    """Return Satterthwaite's degrees of freedom of V_images + V_seeds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        df = seeds.df * (variance / seeds.variance) ** 2
    return np.fmin(df, MOST_DEGREES)  # also for 0/0


def _quantile(df: Any) -> Any:
    from scipy.special import stdtrit

    return stdtrit(df, 1 - LEVEL / 2)


@dataclass(frozen=True)
class GainTest:
    """The gain of the second column over the first, as a fraction.

    gain:           mean accuracy of the second column minus that of the first
    interval:       its 95 % interval over images and, if a column has several runs, over seeds
    p:              probability of such a gain, or a larger one in either direction, without a difference
    image_interval: its 95 % interval over images alone
    seed_error:     standard error of the gain over seeds; 0 if both columns have one run
    """

    gain: float
    interval: Interval
    p: float
    image_interval: Interval
    seed_error: float

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes 0."""
        return self.p < LEVEL


def gain_test(
    first_K: Sequence[float], second_K: Sequence[float], *, image_error: float, same_networks: bool = False
) -> GainTest:
    """Test the gain of the second column over the first.

    first_K, second_K: the accuracy of every run of each column
    image_error:       standard error of the gain over images
    same_networks:     whether run k of both columns is the same network, scored in two ways
    """
    gain = math.fsum(second_K) / len(second_K) - math.fsum(first_K) / len(first_K)
    seeds = seed_variance([first_K, second_K], same_networks=same_networks)
    variance = image_error**2 + seeds.variance
    t = abs(gain) / math.sqrt(variance)
    return GainTest(
        gain=gain,
        interval=single(gain_interval(gain, image_error, seeds)),
        p=2 * _upper_tail(t, _degrees(variance, seeds)) if seeds.df else math.erfc(t / math.sqrt(2)),
        image_interval=single(gain_interval(gain, image_error, UNKNOWN)),
        seed_error=math.sqrt(seeds.variance),
    )


def _upper_tail(t: float, df: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(df, -t))


def single(ends: tuple[Any, Any]) -> Interval:
    """Return an interval of numbers as Python's own."""
    return float(ends[0]), float(ends[1])
