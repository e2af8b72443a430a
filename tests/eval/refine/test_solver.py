"""The solver: the minimum, how it ends, and what it does if float32 is not precise enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine.solver import minimise


class Quadratic:
    """Σ s_p (w_p − 3)², with random errors in float32 of the loss and of the gradient."""

    def __init__(self, loss_error: float = 0.0, gradient_error: float = 0.0) -> None:
        self.scale, self.weight_count = np.geomspace(1, 300, 30), 30
        self.loss_error, self.gradient_error, self.random = loss_error, gradient_error, np.random.default_rng(0)
        self.dtypes: list[Any] = []

    def evaluate(self, weights_P: Any, dtype: Any) -> tuple[float, Any]:
        self.dtypes.append(dtype)
        difference = weights_P - 3
        loss, gradient = float(self.scale @ difference**2), 2 * self.scale * difference
        if dtype is np.float32:
            loss += self.loss_error * self.random.normal()
            gradient = gradient + self.gradient_error * self.random.normal(size=30)
        return loss, gradient


@pytest.mark.parametrize("lambda_", [0.0, 0.5, 100.0])
def test_the_minimum_lies_between_loss_and_target(lambda_: float) -> None:
    loss, target = Quadratic(), np.ones(30)
    result = minimise(loss, lambda_=lambda_, target_P=target, tolerance=1e-14)
    np.testing.assert_allclose(result.weights_P, (3 * loss.scale + lambda_) / (loss.scale + lambda_), atol=1e-5)
    difference = result.weights_P - 1
    objective = float(loss.scale @ (result.weights_P - 3) ** 2 + lambda_ * difference @ difference)
    assert result.objective == pytest.approx(objective)
    assert result.status == "converged" and result.iterations > 3 and result.evaluations == len(loss.dtypes)


def test_the_status_reports_the_maximum_number_of_steps() -> None:
    result = minimise(Quadratic(), lambda_=0.1, target_P=np.zeros(30), tolerance=1e-14, iterations=3)
    assert result.status == "iterations" and result.iterations == 3
    assert result.objective < 9 * Quadratic().scale.sum()


def test_float64_continues_after_the_errors_of_float32() -> None:
    loss = Quadratic(loss_error=1.0, gradient_error=3.0)
    result = minimise(loss, lambda_=0.1, target_P=np.zeros(30), tolerance=1e-13)
    assert np.float32 in loss.dtypes and loss.dtypes[-1] is np.float64
    assert result.status == "converged" and result.float64_evaluations == loss.dtypes.count(np.float64)
    np.testing.assert_allclose(result.weights_P, 3 * loss.scale / (loss.scale + 0.1), atol=1e-5)


def test_exact_float32_needs_no_float64() -> None:
    assert minimise(Quadratic(), lambda_=0.1, target_P=np.zeros(30)).float64_evaluations == 0
    result = minimise(Quadratic(), lambda_=0.1, target_P=np.zeros(30), precision="float64")
    assert result.float64_evaluations > 0


def test_a_goal_ends_it_early() -> None:
    full = minimise(Quadratic(), lambda_=0.1, target_P=np.zeros(30), tolerance=1e-14)
    early = minimise(Quadratic(), lambda_=0.1, target_P=np.zeros(30), tolerance=1e-14, goal=1.5 * full.objective)
    assert full.objective < early.objective <= 1.5 * full.objective
    assert early.status == "converged" and early.evaluations < full.evaluations


def test_on_step_gets_every_step() -> None:
    steps: list[tuple[int, float]] = []
    result = minimise(
        Quadratic(), lambda_=0.1, target_P=np.zeros(30), on_step=lambda step, value: steps.append((step, value))
    )
    assert [step for step, _ in steps] == list(range(1, result.iterations + 1))
    assert [value for _, value in steps] == sorted((value for _, value in steps), reverse=True)
