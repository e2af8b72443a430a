"""Visitors that each variant needs to show a wanted gain."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from prodrec.core.base.errors import BadOption
from prodrec.eval.report.seed_intervals import LEVEL


@dataclass(frozen=True)
class SampleSize:
    """Visitors that each variant needs, if all have as many.

    gain:       relative gain to show
    power:      probability of showing it, if it is real
    rate:       UV conversion rate of the control
    repetition: factor for visitors who return, see `Rate`
    visitors:   for each variant, each counted once a day
    days:       days that the variant with the fewest visitors a day needs for them
    """

    gain: float
    power: float
    rate: float
    repetition: float
    visitors: int
    days: int


def sample_size(
    rate: float, gain: float, *, power: float, comparisons: int, repetition: float, visitors_per_day: float
) -> SampleSize:
    """Return the visitors that each variant needs, for the two-sided test at the level of 5 %.

        n = r (z_{1-α/2} √(2 q (1-q)) + z_power √(p (1-p) + p' (1-p')))² / (p' - p)²

    with p' = (1 + gain) p and q = (p + p') / 2 (Fleiss, Levin and Paik 2003, chapter 4), α = 0.05 / comparisons, which
    is the first step of Holm's correction, and r = `repetition`, at least 1.

    Raise BadOption if p' is not below 1.
    """
    from scipy.special import ndtri

    raised = rate * (1 + gain)
    if raised >= 1:
        raise BadOption(
            f"--gain {100 * gain:g}%: a rate of {100 * rate:.1f} % cannot grow so much; give a smaller gain."
        )
    middle = (rate + raised) / 2
    noise = float(ndtri(1 - LEVEL / comparisons / 2)) * sqrt(2 * middle * (1 - middle))
    noise += float(ndtri(power)) * sqrt(rate * (1 - rate) + raised * (1 - raised))
    factor = max(1.0, repetition)
    visitors = ceil(factor * (noise / (raised - rate)) ** 2)
    return SampleSize(gain, power, rate, factor, visitors, ceil(visitors / visitors_per_day))
