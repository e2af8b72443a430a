"""Minimises a loss plus an L2 penalty by scipy's L-BFGS-B (S eq. 3, "the Quasi-Newton method").

Products are made in float32, sums over rows in float64. Close to the minimum the noise of float32 breaks the line
search; the fit then goes on in float64 from the best point (MEASURED: 1.6 to 1.75 times slower a step).

Shapes: P parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FLOAT32_EVALUATIONS_A_STEP = 6
"""A step that needs more is taken as float32's noise: a healthy one needs one or two."""

CORRECTIONS = 10


class Loss(Protocol):
    """−log likelihood of some rows as a function of P parameters."""

    @property
    def size(self) -> int: ...
    def evaluate(self, values_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        """Loss and gradient, products in `dtype`."""


@dataclass(frozen=True)
class Solved:
    """Where the solver arrived, and how it ended: `converged`, `iterations` (it ran out of them), or `stuck`."""

    values_P: NDArray[np.float64]
    objective: float
    status: str
    iterations: int
    evaluations: int
    float64_evaluations: int
    seconds: float


class _Noise(Exception):
    """float32 makes no progress any more."""


class _Arrived(Exception):
    """The objective that was asked for is reached."""


def minimise(
    loss: Loss,
    *,
    strength: float,
    target_P: NDArray[np.float64],
    start_P: NDArray[np.float64] | None = None,
    tolerance: float = 1e-7,
    iterations: int = 500,
    precision: str = "auto",
    goal: float | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Solved:
    """Minimise loss + strength · ‖w − target‖², from `start_P` or from the target.

    tolerance: it is done when a step lowers the objective by less than this share. precision: auto (float32, float64
    when that stalls) or float64. goal: stop as soon as the objective is as low. on_step(iteration, objective).
    """
    started = time.monotonic()
    best_w = np.array(target_P if start_P is None else start_P, dtype=np.float64)
    best, slope, steps, counts, since = np.inf, np.inf, 0, {np.float32: 0, np.float64: 0}, 0

    def objective(w_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        nonlocal best, best_w, slope, since
        since += 1
        counts[dtype] += 1
        value, gradient = loss.evaluate(w_P, dtype)
        away = w_P - target_P
        value += strength * float(away @ away)
        gradient += 2 * strength * away
        if value < best:
            best, best_w, slope = value, w_P.copy(), float(gradient @ gradient)
        if goal is not None and value <= goal:
            raise _Arrived
        if dtype is np.float32 and since > FLOAT32_EVALUATIONS_A_STEP and steps:
            raise _Noise
        return value, gradient

    def step(_: NDArray[np.float64]) -> None:
        nonlocal steps, since
        steps, since = steps + 1, 0
        if on_step is not None:
            on_step(steps, best)

    status = "stuck"
    for dtype in (np.float32, np.float64) if precision == "auto" else (np.float64,):
        since = 0
        try:
            status = _run(objective, best_w, dtype, step, tolerance=tolerance, iterations=iterations - steps)
        except _Arrived:
            status = "converged"
        except _Noise:
            status = "stuck"
        if status != "stuck":
            break
        if dtype is np.float32:
            best = np.inf  # the lowest it found may be its noise
        elif slope <= 4 * strength * max(tolerance, 1e-12) * max(best, 1.0):
            status = "converged"  # the objective is 2·strength strongly convex: its minimum is at most this far below
    in_float64 = counts[np.float64]
    return Solved(best_w, best, status, steps, counts[np.float32] + in_float64, in_float64, time.monotonic() - started)


def _run(objective: Callable[..., Any], start_P: NDArray[np.float64], dtype: Any, step: Any, **how: float) -> str:
    from scipy.optimize import minimize

    if how["iterations"] < 1:
        return "iterations"
    found = minimize(
        objective,
        start_P,
        args=(dtype,),
        jac=True,
        method="L-BFGS-B",
        callback=step,
        options={
            "maxiter": int(how["iterations"]),
            "maxfun": 20 * int(how["iterations"]) + 20,
            "maxcor": CORRECTIONS,
            "ftol": how["tolerance"],
            "gtol": 0.0,
        },
    )
    return {0: "converged", 1: "iterations"}.get(int(found.status), "stuck")
