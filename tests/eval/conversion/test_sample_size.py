"""The visitors that a gain needs: a published value, what raises them, and the power by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats.contingency import relative_risk

from prodrec.core.base.errors import BadOption
from prodrec.eval.conversion.sample_size import SampleSize, sample_size


def needed(rate: float, gain: float, **options: float) -> SampleSize:
    values = {"power": 0.8, "comparisons": 1, "repetition": 1.0, "visitors_per_day": 1000.0, **options}
    return sample_size(rate, gain, **values)  # type: ignore[arg-type]


def test_published_values() -> None:
    """The examples in the help page of power.prop.test of R: 76.7 for a power of 0.9, and 0.740 for 50."""
    assert needed(0.5, 0.5, power=0.9).visitors == 77
    assert needed(0.5, 0.5, power=0.74).visitors == 50


def test_the_wanted_power_is_reached() -> None:
    plan = needed(0.1, 0.2)
    random = np.random.default_rng(0)
    shown = 0
    for _ in range(1000):
        first, second = random.binomial(plan.visitors, [0.1, 0.12])
        low, high = relative_risk(second, plan.visitors, first, plan.visitors).confidence_interval()
        shown += low > 1 or high < 1
    assert 0.76 <= shown / 1000 <= 0.84  # the standard error is 1.3 %


def test_what_needs_more_visitors() -> None:
    plain = needed(0.1, 0.05)
    assert needed(0.1, 0.025).visitors > 3.8 * plain.visitors
    assert needed(0.1, 0.05, repetition=1.5).visitors == pytest.approx(1.5 * plain.visitors, abs=1)
    assert needed(0.1, 0.05, repetition=0.9).visitors == plain.visitors
    assert needed(0.1, 0.05, comparisons=3).visitors > 1.2 * plain.visitors
    assert plain.days == -(-plain.visitors // 1000)


def test_a_rate_cannot_exceed_1() -> None:
    with pytest.raises(BadOption, match=r"--gain 50%: a rate of 70\.0 % cannot grow so much; give a smaller gain\."):
        needed(0.7, 0.5)
    assert needed(0.7, 0.4).visitors > 0
