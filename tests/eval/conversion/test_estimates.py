"""Rates and gains: published formulas, plain loops, the bootstrap over visitors, and coverage by simulation."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats.contingency import relative_risk

from prodrec.core.data.tables.visits import Visits
from prodrec.eval.conversion.estimates import GainEstimate, estimate_gain, estimate_rate
from prodrec.eval.report.intervals import wilson_interval

from .conftest import counts, of_visitors

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def gain_of(visits: Visits) -> GainEstimate:
    estimate = estimate_gain(visits, 1, 0)
    assert isinstance(estimate, GainEstimate), estimate
    return estimate


def error_of(estimate: GainEstimate) -> float:
    low, high = estimate.interval
    return (log(1 + high) - log(1 + low)) / 2 / float(norm.ppf(0.975))


def draw(random: np.random.Generator, *, visitors: int, mixed: bool = False) -> list[tuple[int, int, int, int]]:
    """Visitors who differ in how often they trade and come on one to three days."""
    rows: list[tuple[int, int, int, int]] = []
    for visitor in range(visitors):
        variant, own = int(random.integers(2)), random.beta(1, 3)
        rows += [
            (visitor, int(random.integers(2)) if mixed else variant, day, int(random.random() < own))
            for day in random.permutation(3)[: random.integers(1, 4)].tolist()
        ]
    return rows


def test_one_day_of_counts_is_the_interval_of_katz() -> None:
    """scipy has it as that of a relative risk."""
    estimate = gain_of(counts([[400], [380]], [[40], [52]]))
    expected = relative_risk(52, 380, 40, 400)
    low, high = expected.confidence_interval(0.95)
    assert 1 + estimate.gain == pytest.approx(expected.relative_risk)
    assert (1 + estimate.interval[0], 1 + estimate.interval[1]) == pytest.approx((low, high))
    assert estimate.p == pytest.approx(2 * norm.sf(abs(log(expected.relative_risk)) / error_of(estimate)))


def test_several_days_are_weighted_by_mantel_and_haenszel() -> None:
    """The published form Σ a n0 / N over Σ c n1 / N; the plain ratio of sums would call a busy day a gain."""
    visiting_VD, trading_VD = [[700, 200], [300, 800]], [[21, 20], [9, 80]]
    estimate = gain_of(counts(visiting_VD, trading_VD))
    numerator = sum(trading_VD[1][d] * visiting_VD[0][d] / (visiting_VD[0][d] + visiting_VD[1][d]) for d in range(2))
    denominator = sum(trading_VD[0][d] * visiting_VD[1][d] / (visiting_VD[0][d] + visiting_VD[1][d]) for d in range(2))
    assert 1 + estimate.gain == pytest.approx(numerator / denominator)
    assert estimate.gain == pytest.approx(0, abs=1e-12) and estimate.p == pytest.approx(1)
    assert (9 + 80) / 1100 > 1.5 * (21 + 20) / 900


def test_visitors_who_come_once_agree_with_counts() -> None:
    rows = [(i, i % 2, i % 3, int(i % 7 == 0 or i % 11 == 1)) for i in range(600)]
    visits = of_visitors(rows)
    one, other = gain_of(visits), gain_of(replace(visits, visitor_days=None))
    assert one.interval == pytest.approx(other.interval) and one.p == pytest.approx(other.p)
    assert estimate_rate(visits, 1).repetition == pytest.approx(1)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_error_is_a_sum_over_visitors(mixed: bool) -> None:
    """The equations of the package, as a plain loop."""
    rows = draw(np.random.default_rng(1), visitors=80, mixed=mixed)
    visits = of_visitors(rows)
    n, p = visits.visiting_VD, visits.trading_VD / visits.visiting_VD
    weights = [n[1, d] * n[0, d] / (n[1, d] + n[0, d]) for d in range(3)]
    sums = [sum(weights[d] * p[v, d] for d in range(3)) for v in range(2)]
    moves: dict[int, float] = {}
    for visitor, v, d, y in rows:
        sign = 1 if v else -1
        moves[visitor] = moves.get(visitor, 0.0) + sign * weights[d] * (y - p[v, d]) / n[v, d] / sums[v]
    estimate = gain_of(visits)
    assert estimate.gain == pytest.approx(sums[1] / sums[0] - 1)
    assert error_of(estimate) == pytest.approx(sqrt(sum(move**2 for move in moves.values())))


@pytest.mark.parametrize("mixed", [False, True])
def test_the_error_is_that_of_the_bootstrap_over_visitors(mixed: bool) -> None:
    random = np.random.default_rng(2)
    visits = of_visitors(draw(random, visitors=1500, mixed=mixed))
    days = visits.visitor_days
    assert days is not None
    logs = []
    for _ in range(400):
        weights_P = np.bincount(random.integers(1500, size=1500), minlength=1500)[days.visitor_P]
        visiting_VD, trading_VD = np.zeros((2, 3)), np.zeros((2, 3))
        np.add.at(visiting_VD, (days.variant_P, days.day_P), weights_P)
        np.add.at(trading_VD, (days.variant_P, days.day_P), weights_P * days.is_trading_P)
        logs.append(log(1 + gain_of(counts(visiting_VD, trading_VD)).gain))
    error = error_of(gain_of(visits))
    assert error == pytest.approx(np.std(logs), rel=0.1)  # the error of 400 draws is 3.5 %
    as_if_once = error_of(gain_of(replace(visits, visitor_days=None)))
    assert as_if_once < 0.93 * error or mixed


def test_only_common_days_count() -> None:
    alone = counts([[100, 50, 0], [90, 0, 70]], [[10, 50, 0], [12, 0, 70]])
    assert gain_of(alone) == gain_of(counts([[100], [90]], [[10], [12]]))


@pytest.mark.parametrize(
    ("visiting_VD", "trading_VD", "reason"),
    [
        ([[9, 0], [0, 9]], [[1, 0], [0, 1]], "no day in common with a"),
        ([[9], [9]], [[1], [0]], "no visitor traded on the days in common"),
        ([[9], [9]], [[0], [1]], "no visitor of a traded on the days in common"),
        (
            [[9], [9]],
            [[9], [9]],
            "its visitors and those of the control do not differ from each other, so there is no interval",
        ),
    ],
)
def test_what_cannot_be_compared_has_a_reason(visiting_VD: Any, trading_VD: Any, reason: str) -> None:
    assert estimate_gain(counts(visiting_VD, trading_VD), 1, 0) == reason


def test_the_rate_of_a_variant() -> None:
    rate = estimate_rate(counts([[60, 40], [1, 0]], [[3, 7], [0, 0]]), 0)
    assert (rate.visiting, rate.trading, rate.days, rate.visitors, rate.value) == (100, 10, 2, None, 0.1)
    assert rate.interval == pytest.approx(wilson_interval(0.1, 100))
    twice = of_visitors([(i, 0, day, int(i < 10)) for i in range(50) for day in (0, 2)])  # who trades, trades daily
    rate = estimate_rate(twice, 0)
    assert (rate.visiting, rate.trading, rate.days, rate.visitors) == (100, 20, 2, 50)
    assert rate.repetition == pytest.approx(2) and rate.interval == pytest.approx(wilson_interval(0.2, 50))


def test_coverage_and_false_positives_by_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors return and differ. 300 trials of 95 % have a standard error of 1.3 %."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import conversion  # type: ignore[import-not-found]

    scenario = replace(conversion.SCENARIOS[1], visitors=1000, rate=0.2)
    shares = conversion.coverage(scenario, 300, seed=0)
    assert 0.92 <= shares["uv"][0] <= 0.98 and shares["once"][0] < shares["uv"][0] - 0.02
    assert 0.02 <= conversion.share_shown(replace(scenario, gains=(0.0, 0.0)), 200, seed=1) <= 0.09
