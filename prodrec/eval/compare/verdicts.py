"""What a test says, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.eval.report.intervals import Interval
from prodrec.eval.report.row_text import format_signed
from prodrec.eval.report.seed_intervals import LEVEL

if TYPE_CHECKING:
    from prodrec.eval.compare.comparison import Comparison, Difference

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
SMALLEST_P = 0.001
"""Smaller p values are printed as `p < 0.001`."""


def verdict(difference: Difference) -> str:
    """Return BETTER or WORSE for the second column, or NOT_SHOWN, after the correction for all pairs."""
    if difference.corrected_p >= LEVEL:
        return NOT_SHOWN
    return BETTER if difference.test.gain > 0 else WORSE


def sentence(comparison: Comparison, difference: Difference) -> str:
    """Return the verdict as a sentence.

    Such as `sicot is better than visual by 1.2 points [0.4, 2.0], p = 0.003 after correction.`
    """
    test, names = difference.test, comparison.names
    is_corrected = comparison.pairs > 1
    p = p_text(difference.corrected_p) + (" after correction" if is_corrected else "")
    word = verdict(difference)
    if word != NOT_SHOWN:
        low, high = (100 * end for end in test.interval)
        if word == WORSE:
            low, high = -high, -low
        points = f"{100 * abs(test.gain):.1f} points [{low:.1f}, {high:.1f}]"
        return f"{names[difference.second]} is {word} than {names[difference.first]} by {points}, {p}."
    return f"{NOT_SHOWN}: {gain_text(test.gain, test.interval)}, {p}{_reason(difference)}."


def _reason(difference: Difference) -> str:
    """Return why no difference is shown though a simpler test would show one; empty if none would."""
    test, (low, high) = difference.test, difference.test.image_interval
    if test.is_shown:
        return f"; without the correction {p_text(test.p)}"
    if low > 0 or high < 0:
        interval = f"[{format_signed(100 * low, 1)}, {format_signed(100 * high, 1)}]"
        return f"; over the images alone {interval}, but seeds change the gain by ± {100 * test.seed_error:.1f}"
    return ""


def gain_text(gain: float, interval: Interval) -> str:
    """Return a gain, as `+0.4 points [-0.2, +1.0]`."""
    low, high = (format_signed(100 * end, 1) for end in interval)
    return f"{format_signed(100 * gain, 1)} points [{low}, {high}]"


def p_text(p: float) -> str:
    """Return a p value, as `p = 0.012`."""
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.3f}"


def mcnemar_text(difference: Difference) -> str:
    """Return McNemar's tests, as `McNemar 12 : 30, p = 0.008`; by seed if there are several; empty without a test."""
    if not difference.mcnemar:
        return ""
    parts = []
    for test in difference.mcnemar:
        seed = f"seed {test.seed} " if len(difference.mcnemar) > 1 else ""
        parts.append(f"{seed}{test.better:,} : {test.worse:,}, {p_text(test.p)}")
    return f"McNemar {'; '.join(parts)}"
