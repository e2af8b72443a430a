"""Conversion to float16: numbers that it cannot represent, and the order of the largest scores."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.errors import ProdrecError
from prodrec.core.scores.rounding import TOP, BatchRows, restore_order, sort_descending, to_float16

BATCH = BatchRows("sicot", ["a", "b"], np.array([7, 9]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 65505.0, -1e9])
def test_an_overflow_is_reported_with_run_and_row(value: float) -> None:
    with pytest.raises(ProdrecError, match=r"the scores of row 9 \(id b\) .* The run sicot has most likely diverged"):
        to_float16(np.array([[0.0, 65504.0], [value, 0.0]]), "scores", BATCH)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 10, 11, 40, 200])
def test_the_largest_scores_keep_their_order(seed: int, classes: int) -> None:
    """In this range, rounding to float16 makes hundreds of scores equal."""
    exact = np.random.default_rng(seed).uniform(16, 16.5, size=(200, classes)).astype(np.float32)
    exact[:50, 0] = exact[:50, classes - 1]  # equal before rounding, and after it
    rounded = restore_order(exact, exact.astype(np.float16))
    best = np.argsort(-exact, axis=1, kind="stable")[:, :TOP]
    np.testing.assert_array_equal(np.argsort(-rounded.astype(np.float32), axis=1, kind="stable")[:, :TOP], best)
    assert (rounded[:50, 0] == rounded[:50, classes - 1]).all()
    assert np.abs(rounded - exact).max() <= 0.0157 * (TOP + 1)
    if classes >= 10:
        plain = np.argsort(-exact.astype(np.float16).astype(np.float32), axis=1, kind="stable")[:, :TOP]
        assert (plain != best).any(), "rounding alone does not keep the order"


def test_scores_that_stay_distinct_are_not_changed() -> None:
    exact = np.random.default_rng(0).integers(-200, 200, size=(100, 300)).astype(np.float32)
    half = exact.astype(np.float16)
    np.testing.assert_array_equal(restore_order(exact, half.copy()), half)


def test_the_lowest_float16_is_not_exceeded() -> None:
    exact = np.array([[-65504.0, -65503.0, -65503.5]], dtype=np.float32)
    assert np.isfinite(restore_order(exact, exact.astype(np.float16))).all()


def test_equal_scores_are_sorted_by_class() -> None:
    exact = np.array([[1, 5, 5], [16.001, 16.002, 3]], dtype=np.float32)
    half, classes = sort_descending(exact, exact.astype(np.float16), np.array([[4, 9, 2], [0, 8, 5]], dtype=np.int32))
    assert classes.tolist() == [[2, 9, 4], [8, 0, 5]]
    assert half.tolist() == [[5, 5, 1], [16, 15.9921875, 3]]
