"""Drawn visits with a known gain: the coverage of the interval of `prodrec uv`, and how often its test is wrong.

    python benchmarks/conversion.py [--trials 2000] [--seed 0]

Each trial draws visitors who come on some of 14 days and trade with a probability of their own. Coverage is the share
of 95 % intervals that contain the true gain, with the share of those below and above it; false positives are trials in
which a difference is shown though there is none, after Holm's correction. *Once* is the same interval if each day of a
visitor counts as another visitor, as in a table of counts; *pooled* is the ratio of the plain sums over all days.

Shapes: U visitors, D days, P visitor-days.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from prodrec.core.data.tables.visits import VisitorDays, Visits
from prodrec.eval.conversion.comparison import compare_variants
from prodrec.eval.conversion.estimates import GainEstimate, estimate_gain

DAYS = 14


@dataclass(frozen=True)
class Scenario:
    """How visits are drawn.

    visitors:   in all variants together
    rate:       mean probability of trading on a day
    gains:      true relative gain of each variant but the control
    returns:    mean number of days after the first on which a visitor comes
    spread:     how much visitors differ: parameter a of the beta distribution of their probability; None if not at all
    moving:     whether the share of the variants and the rate change from day to day
    mixed:      whether a visitor gets a variant anew each day
    """

    name: str
    visitors: int
    rate: float
    gains: tuple[float, ...]
    returns: float = 0.0
    spread: float | None = None
    moving: bool = False
    mixed: bool = False


SCENARIOS = (
    Scenario("each comes once", 20_000, 0.05, (0.1,)),
    Scenario("visitors return and differ", 6_000, 0.05, (0.1,), returns=3, spread=0.5),
    Scenario("traffic and rates move", 20_000, 0.05, (0.1,), moving=True),
    Scenario("20 trading visitors each", 800, 0.05, (0.1,)),
    Scenario("10 trading visitors each", 400, 0.05, (0.1,)),
    Scenario("variant anew each day", 6_000, 0.05, (0.1,), returns=3, spread=0.5, mixed=True),
    Scenario("three variants beside control", 20_000, 0.05, (0.1, 0.1, 0.1), returns=1, spread=0.5),
)


def draw_visits(scenario: Scenario, random: np.random.Generator) -> Visits:
    """Return the visits of one trial."""
    variants, users = 1 + len(scenario.gains), scenario.visitors
    variant_U = random.integers(variants, size=users)
    own_U = np.full(users, scenario.rate)
    if scenario.spread is not None:
        own_U = random.beta(scenario.spread, scenario.spread * (1 / scenario.rate - 1), size=users)
    if scenario.returns:
        days_U = np.minimum(DAYS, 1 + random.poisson(scenario.returns, size=users))
        visitor_P, day_P = np.nonzero(np.argsort(random.random((users, DAYS)), axis=1) < days_U[:, None])
    else:
        visitor_P, day_P = np.arange(users), random.integers(DAYS, size=users)
    variant_P, factor_P = variant_U[visitor_P], np.ones(len(visitor_P))
    if scenario.mixed:
        variant_P = random.integers(variants, size=len(visitor_P))
    if scenario.moving:  # the new variant gets more of the traffic on the days of the higher rate
        is_late_P = day_P >= DAYS // 2
        variant_P = (random.random(len(visitor_P)) < np.where(is_late_P, 0.8, 0.3)).astype(np.int64)
        factor_P = np.where(is_late_P, 1.5, 0.75)
    gain_P = np.array([0.0, *scenario.gains])[variant_P]
    is_trading_P = random.random(len(visitor_P)) < np.minimum(1.0, own_U[visitor_P] * factor_P * (1 + gain_P))
    visiting_VD, trading_VD = np.zeros((variants, DAYS), np.int64), np.zeros((variants, DAYS), np.int64)
    np.add.at(visiting_VD, (variant_P, day_P), 1)
    np.add.at(trading_VD, (variant_P, day_P), is_trading_P)
    return Visits(
        path=Path("drawn"),
        variants=tuple(f"v{i}" for i in range(variants)),
        days=tuple(f"2026-11-{day + 1:02}" for day in range(DAYS)),
        visiting_VD=visiting_VD,
        trading_VD=trading_VD,
        visitor_days=VisitorDays(visitor_P, variant_P, day_P, is_trading_P),
        rows=len(visitor_P),
        bad_rows=0,
        first_bad=(),
        notes=(),
    )


def coverage(scenario: Scenario, trials: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return, by method, the shares of intervals that contain the true gain of the first variant, lie below, above."""
    random = np.random.default_rng(seed)
    ends: dict[str, list[tuple[float, float]]] = {"uv": [], "once": [], "pooled": []}
    for _ in range(trials):
        visits = draw_visits(scenario, random)
        sums = replace(
            visits,
            visiting_VD=visits.visiting_VD.sum(1, keepdims=True),
            trading_VD=visits.trading_VD.sum(1, keepdims=True),
            visitor_days=None,
        )
        for name, one in (("uv", visits), ("once", replace(visits, visitor_days=None)), ("pooled", sums)):
            estimate = estimate_gain(one, 1, 0)
            if isinstance(estimate, GainEstimate):
                ends[name].append(estimate.interval)
    return {name: _shares(intervals, scenario.gains[0]) for name, intervals in ends.items()}


def _shares(intervals: Sequence[tuple[float, float]], gain: float) -> tuple[float, float, float]:
    low_T, high_T = np.array(intervals).T
    return (
        float(np.mean((low_T <= gain) & (gain <= high_T))),
        float(np.mean(high_T < gain)),
        float(np.mean(low_T > gain)),
    )


def share_shown(scenario: Scenario, trials: int, seed: int) -> float:
    """Return the share of trials in which a difference of any variant is shown."""
    random = np.random.default_rng(seed)
    shown = 0
    for _ in range(trials):
        comparison = compare_variants(draw_visits(scenario, random), 0)
        shown += any(gain.is_shown for gain in comparison.gains)
    return shown / trials


def power_of_plan(scenario: Scenario, trials: int, seed: int) -> tuple[int, float]:
    """Return the visitors that the gain needs by one drawn table, and the share of trials of that size that show it."""
    visits = draw_visits(scenario, np.random.default_rng(seed))
    needed = compare_variants(visits, 0, gain=scenario.gains[0]).needed
    assert needed is not None
    variants = 1 + len(scenario.gains)
    per_visitor = visits.rows / scenario.visitors
    planned = replace(scenario, visitors=round(variants * needed.visitors / per_visitor))
    return needed.visitors, share_shown(planned, trials, seed + 1)


def main() -> None:
    """Print a row for each scenario, then the power of planned tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{'in %':<32}{'coverage':>9}{'below':>7}{'above':>7}{'once':>7}{'pooled':>8}{'false positives':>17}")
    for scenario in SCENARIOS:
        shares = coverage(scenario, arguments.trials, arguments.seed)
        null = replace(scenario, gains=(0.0,) * len(scenario.gains))
        wrong = share_shown(null, arguments.trials, arguments.seed + 1)
        inside, below, above = shares["uv"]
        print(
            f"{scenario.name:<32}{100 * inside:>9.1f}{100 * below:>7.1f}{100 * above:>7.1f}"
            f"{100 * shares['once'][0]:>7.1f}{100 * shares['pooled'][0]:>8.1f}{100 * wrong:>17.1f}"
        )
    for scenario in SCENARIOS[:2]:
        visitors, power = power_of_plan(scenario, min(arguments.trials, 500), arguments.seed)
        print(f"{scenario.name}: {visitors:,} visitors a variant show a gain of 10 % in {100 * power:.1f} % of trials")


if __name__ == "__main__":
    main()
