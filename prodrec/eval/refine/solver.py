"""Minimise a loss with an L2 penalty by SciPy's L-BFGS-B (S §3.3: "the Quasi-Newton method").

Matrix products use float32 and sums over samples float64. Near the minimum, the rounding errors of float32 make the
line search fail. The solver then continues in float64 from the best point; such a step takes 1.6 to 1.75 times as long
(measured).

Shapes: P weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

MAX_FLOAT32_EVALUATIONS = 6
"""Evaluations in one step. A step in float32 that needs more is limited by rounding: usually one or two suffice."""

CORRECTIONS = 10
"""Steps that the L-BFGS approximation of the Hessian is built from; the default of SciPy."""


class Loss(Protocol):
    """The negative log-likelihood of some samples as a function of P weights."""

    @property
    def weight_count(self) -> int: ...
    def evaluate(self, weights_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient, with matrix products in `dtype`."""


@dataclass(frozen=True)
class SolverResult:
    """The best weights, and how the solver ended.

    objective:           the loss with the penalty at these weights.
    status:              "converged"; "iterations" if the maximum number of steps was reached; "stuck" if no further
                         step lowered the objective although the tolerance was not reached.
    iterations:          number of steps.
    evaluations:         number of evaluations of the loss; `float64_evaluations` of them in float64.
    """

    weights_P: NDArray[np.float64]
    objective: float
    status: str
    iterations: int
    evaluations: int
    float64_evaluations: int
    seconds: float


class _Float32Exhausted(Exception):
    """A step in float32 needed too many evaluations."""


class _GoalReached(Exception):
    """The objective is at most the goal."""


def minimise(
    loss: Loss,
    *,
    lambda_: float,
    target_P: NDArray[np.float64],
    start_P: NDArray[np.float64] | None = None,
    tolerance: float = 1e-7,
    iterations: int = 500,
    precision: str = "auto",
    goal: float | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> SolverResult:
    """Minimise loss(w) + λ‖w − target‖², starting from `start_P` or from the target.

    tolerance:  stop after a step that lowers the objective by less than this fraction of it.
    iterations: maximum number of steps.
    precision:  "auto" (float32, then float64 if float32 makes no more progress) or "float64".
    goal:       stop with status "converged" as soon as the objective is at most this value.
    on_step:    called after every step with its number and the objective.
    """
    started = time.monotonic()
    best_P = np.array(target_P if start_P is None else start_P, dtype=np.float64)
    best, best_gradient_squared = np.inf, np.inf
    steps, evaluations_of_step, evaluations = 0, 0, {np.float32: 0, np.float64: 0}

    def objective(w_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        nonlocal best, best_P, best_gradient_squared, evaluations_of_step
        evaluations_of_step += 1
        evaluations[dtype] += 1
        value, gradient_P = loss.evaluate(w_P, dtype)
        difference_P = w_P - target_P
        value += lambda_ * float(difference_P @ difference_P)
        gradient_P += 2 * lambda_ * difference_P
        if value < best:
            best, best_P, best_gradient_squared = value, w_P.copy(), float(gradient_P @ gradient_P)
        if goal is not None and value <= goal:
            raise _GoalReached
        if dtype is np.float32 and evaluations_of_step > MAX_FLOAT32_EVALUATIONS and steps:
            raise _Float32Exhausted
        return value, gradient_P

    def count_step(_: NDArray[np.float64]) -> None:
        nonlocal steps, evaluations_of_step
        steps, evaluations_of_step = steps + 1, 0
        if on_step is not None:
            on_step(steps, best)

    status = "stuck"
    for dtype in (np.float32, np.float64) if precision == "auto" else (np.float64,):
        evaluations_of_step = 0
        try:
            status = _lbfgs(objective, best_P, dtype, count_step, tolerance=tolerance, iterations=iterations - steps)
        except _GoalReached:
            status = "converged"
        except _Float32Exhausted:
            status = "stuck"
        if status != "stuck":
            break
        if dtype is np.float32:
            best = np.inf  # the lowest value may be a rounding error of float32
        elif best_gradient_squared <= 4 * lambda_ * max(tolerance, 1e-12) * max(best, 1.0):
            # The objective is 2λ-strongly convex: it is at most ‖gradient‖² / 4λ above its minimum.
            status = "converged"
    in_float64 = evaluations[np.float64]
    total = evaluations[np.float32] + in_float64
    return SolverResult(best_P, best, status, steps, total, in_float64, time.monotonic() - started)


def _lbfgs(
    objective: Callable[..., Any],
    start_P: NDArray[np.float64],
    dtype: Any,
    count_step: Callable[[NDArray[np.float64]], None],
    *,
    tolerance: float,
    iterations: int,
) -> str:
    """Run SciPy's solver and return the status."""
    from scipy.optimize import minimize

    if iterations < 1:
        return "iterations"
    result = minimize(
        objective,
        start_P,
        args=(dtype,),
        jac=True,
        method="L-BFGS-B",
        callback=count_step,
        options={
            "maxiter": iterations,
            "maxfun": 20 * iterations + 20,
            "maxcor": CORRECTIONS,
            "ftol": tolerance,
            "gtol": 0.0,
        },
    )
    return {0: "converged", 1: "iterations"}.get(int(result.status), "stuck")
