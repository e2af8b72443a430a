"""The solver: the minimum, how it ended, and what it does where float32 is not enough."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine.solver import minimise


class Bowl:
    """Σ s_p (w_p − 3)²; `noise` shakes the loss in float32."""

    def __init__(self, noise: float = 0.0, gradient_noise: float = 0.0) -> None:
        self.scale, self.size = np.geomspace(1, 300, 30), 30
        self.noise, self.gradient_noise, self.random = noise, gradient_noise, np.random.default_rng(0)
        self.asked: list[Any] = []

    def evaluate(self, values_P: Any, dtype: Any) -> tuple[float, Any]:
        self.asked.append(dtype)
        away = values_P - 3
        loss, gradient = float(self.scale @ away**2), 2 * self.scale * away
        if dtype is np.float32:
            loss += self.noise * self.random.normal()
            gradient = gradient + self.gradient_noise * self.random.normal(size=30)
        return loss, gradient


@pytest.mark.parametrize("strength", [0.0, 0.5, 100.0])
def test_the_minimum_between_loss_and_target(strength: float) -> None:
    bowl, target = Bowl(), np.ones(30)
    found = minimise(bowl, strength=strength, target_P=target, tolerance=1e-14)
    np.testing.assert_allclose(found.values_P, (3 * bowl.scale + strength) / (bowl.scale + strength), atol=1e-5)
    away = found.values_P - 1
    assert found.objective == pytest.approx(float(bowl.scale @ (found.values_P - 3) ** 2 + strength * away @ away))
    assert found.status == "converged" and found.iterations > 3 and found.evaluations == len(bowl.asked)


def test_running_out_of_steps_is_told() -> None:
    found = minimise(Bowl(), strength=0.1, target_P=np.zeros(30), tolerance=1e-14, iterations=3)
    assert found.status == "iterations" and found.iterations == 3
    assert found.objective < 9 * Bowl().scale.sum()


def test_noise_of_float32_is_left_for_float64() -> None:
    noisy = Bowl(noise=1.0, gradient_noise=3.0)
    found = minimise(noisy, strength=0.1, target_P=np.zeros(30), tolerance=1e-13)
    assert np.float32 in noisy.asked and noisy.asked[-1] is np.float64
    assert found.status == "converged" and found.float64_evaluations == noisy.asked.count(np.float64)
    np.testing.assert_allclose(found.values_P, 3 * noisy.scale / (noisy.scale + 0.1), atol=1e-5)


def test_clean_float32_needs_no_float64() -> None:
    bowl = Bowl()
    assert minimise(bowl, strength=0.1, target_P=np.zeros(30)).float64_evaluations == 0
    assert minimise(Bowl(), strength=0.1, target_P=np.zeros(30), precision="float64").float64_evaluations > 0


def test_a_goal_ends_it_early() -> None:
    bowl = Bowl()
    whole = minimise(bowl, strength=0.1, target_P=np.zeros(30), tolerance=1e-14)
    early = minimise(Bowl(), strength=0.1, target_P=np.zeros(30), tolerance=1e-14, goal=1.5 * whole.objective)
    assert whole.objective < early.objective <= 1.5 * whole.objective
    assert early.status == "converged" and early.evaluations < whole.evaluations


def test_steps_are_shown() -> None:
    seen: list[tuple[int, float]] = []
    found = minimise(
        Bowl(), strength=0.1, target_P=np.zeros(30), on_step=lambda step, value: seen.append((step, value))
    )
    assert [step for step, _ in seen] == list(range(1, found.iterations + 1))
    assert [value for _, value in seen] == sorted((value for _, value in seen), reverse=True)
