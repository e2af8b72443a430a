"""Rounding to float16: what it cannot hold is refused, and the order of the best survives."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.errors import ProdrecError
from prodrec.core.scores.rounding import ORDERED, Where, best_first, keep_order, to_half

WHERE = Where("sicot", ["a", "b"], np.array([7, 9]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 65505.0, -1e9])
def test_what_float16_cannot_hold_names_run_and_row(value: float) -> None:
    with pytest.raises(ProdrecError, match=r"the scores of row 9 \(id b\) .* The run sicot has most likely diverged"):
        to_half(np.array([[0.0, 65504.0], [value, 0.0]]), "scores", WHERE)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 10, 11, 40, 200])
def test_the_order_of_the_best_survives(seed: int, classes: int) -> None:
    """Scores in a range where float16 makes ties by the hundred."""
    exact = np.random.default_rng(seed).uniform(16, 16.5, size=(200, classes)).astype(np.float32)
    exact[:50, 0] = exact[:50, classes - 1]  # equal before rounding: stays equal
    kept = keep_order(exact, exact.astype(np.float16))
    best = np.argsort(-exact, axis=1, kind="stable")[:, :ORDERED]
    np.testing.assert_array_equal(np.argsort(-kept.astype(np.float32), axis=1, kind="stable")[:, :ORDERED], best)
    assert (kept[:50, 0] == kept[:50, classes - 1]).all()
    assert np.abs(kept - exact).max() <= 0.0157 * (ORDERED + 1)
    if classes >= 10:
        plain = np.argsort(-exact.astype(np.float16).astype(np.float32), axis=1, kind="stable")[:, :ORDERED]
        assert (plain != best).any(), "rounding alone loses it"


def test_scores_that_rounding_keeps_apart_are_left_alone() -> None:
    exact = np.random.default_rng(0).integers(-200, 200, size=(100, 300)).astype(np.float32)
    half = exact.astype(np.float16)
    np.testing.assert_array_equal(keep_order(exact, half.copy()), half)


def test_lowest_number_is_not_passed() -> None:
    exact = np.array([[-65504.0, -65503.0, -65503.5]], dtype=np.float32)
    assert np.isfinite(keep_order(exact, exact.astype(np.float16))).all()


def test_best_first_puts_equal_scores_in_the_order_of_the_classes() -> None:
    exact = np.array([[1, 5, 5], [16.001, 16.002, 3]], dtype=np.float32)
    half, classes = best_first(exact, exact.astype(np.float16), np.array([[4, 9, 2], [0, 8, 5]], dtype=np.int32))
    assert classes.tolist() == [[2, 9, 4], [8, 0, 5]]
    assert half.tolist() == [[5, 5, 1], [16, 15.9921875, 3]]
