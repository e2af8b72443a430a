"""The rate of a variant over its days, and the gain of a variant over the control; the package has the equations.

Shapes: D days, V variants, P visitor-days.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.tables.visits import Visits
from prodrec.eval.report.intervals import Interval, Z, wilson_interval

Floats = NDArray[np.float64]

SMALLEST_ERROR = 1e-9
"""A smaller standard error is 0 up to rounding: all visitors traded, or each as often as the others."""


@dataclass(frozen=True)
class Rate:
    """The UV conversion rate of a variant over all its days: trading / visiting.

    visiting, trading: sums over the days, so a visitor counts once a day
    days:              days with visitors
    visitors:          different visitors; None in a table of counts
    interval:          of 95 %, over visitors
    repetition:        variance of the rate, as a multiple of that of as many visitors who come once (design effect)
    """

    variant: str
    visiting: int
    trading: int
    days: int
    visitors: int | None
    value: float
    interval: Interval
    repetition: float


@dataclass(frozen=True)
class GainEstimate:
    """The relative gain of a variant over the control.

    days:     days on which both have visitors
    gain:     such as 0.031 for 3.1 %
    interval: of 95 %
    p:        p value of the two-sided test
    fewest:   trading visitors, counted once a day, of the variant that has fewer
    """

    days: int
    gain: float
    interval: Interval
    p: float
    fewest: int


def estimate_rate(visits: Visits, variant: int) -> Rate:
    """Return the rate of a variant over all its days."""
    visiting_D, trading_D = visits.visiting_VD[variant], visits.trading_VD[variant]
    visiting, trading = int(visiting_D.sum()), int(trading_D.sum())
    value = trading / visiting
    once = value * (1 - value) / visiting
    repetition, visitors = 1.0, None
    if visits.visitor_days is not None:
        days = visits.visitor_days
        is_own_P = days.variant_P == variant
        visitors = len(np.unique(days.visitor_P[is_own_P]))
        moves_P = (days.is_trading_P[is_own_P] - value) / visiting
        if once > 0:
            repetition = _variance_over_visitors(days.visitor_P[is_own_P], moves_P) / once
    interval = wilson_interval(value, visiting / max(1.0, repetition))
    return Rate(
        variant=visits.variants[variant],
        visiting=visiting,
        trading=trading,
        visitors=visitors,
        days=int((visiting_D > 0).sum()),
        value=value,
        interval=interval,
        repetition=repetition,
    )


def estimate_gain(visits: Visits, variant: int, control: int) -> GainEstimate | str:
    """Return the gain of a variant over the control, or why there is none, such as `no day in common with old`."""
    from scipy.special import ndtr

    n_VD = visits.visiting_VD.astype(np.float64)
    is_common_D = (n_VD[variant] > 0) & (n_VD[control] > 0)
    if not is_common_D.any():
        return f"no day in common with {visits.variants[control]}"
    trading_V = visits.trading_VD[:, is_common_D].sum(axis=1)
    for one in (variant, control):
        if not trading_V[one]:
            whose = "" if one == variant else f"of {visits.variants[one]} "
            return f"no visitor {whose}traded on the days in common"
    weights_D = np.zeros(len(is_common_D))
    np.divide(n_VD[variant] * n_VD[control], n_VD[variant] + n_VD[control], out=weights_D, where=is_common_D)
    shares_VD = np.divide(visits.trading_VD, n_VD, out=np.zeros_like(n_VD), where=n_VD > 0)
    means_V = shares_VD @ weights_D
    moves_VD = np.zeros_like(n_VD)  # how much log(ratio) moves by each visitor who trades
    for one, sign in ((variant, 1.0), (control, -1.0)):
        moves_VD[one, is_common_D] = sign * weights_D[is_common_D] / n_VD[one, is_common_D] / means_V[one]
    if visits.visitor_days is None:
        variance = float((moves_VD**2 * n_VD * shares_VD * (1 - shares_VD)).sum())
    else:
        days = visits.visitor_days
        residuals_P: Floats = days.is_trading_P - shares_VD[days.variant_P, days.day_P]
        variance = _variance_over_visitors(days.visitor_P, moves_VD[days.variant_P, days.day_P] * residuals_P)
    log_ratio, error = log(means_V[variant] / means_V[control]), sqrt(variance)
    if error < SMALLEST_ERROR:
        return "its visitors and those of the control do not differ from each other, so there is no interval"
    return GainEstimate(
        days=int(is_common_D.sum()),
        gain=exp(log_ratio) - 1,
        interval=(exp(log_ratio - Z * error) - 1, exp(log_ratio + Z * error) - 1),
        p=float(2 * ndtr(-abs(log_ratio) / error)),
        fewest=int(min(trading_V[variant], trading_V[control])),
    )


def _variance_over_visitors(visitor_P: NDArray[np.int64], moves_P: Floats) -> float:
    """Return Σ_i (Σ_d u_id)² over visitors i and their days d."""
    return float((np.bincount(visitor_P, weights=moves_P) ** 2).sum())
