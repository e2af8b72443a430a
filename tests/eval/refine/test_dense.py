"""The loss with the level as normaliser: equal to the formulas written out, whichever way products are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine import dense
from prodrec.eval.refine.dense import LevelLoss, dense_rows, level_losses
from prodrec.eval.refine.weights import Weights

CASES = [(depth, k, dense.SHARED_FROM) for depth in (1, 2, 3, 4) for k in (1, 3, "all", "everything")]
CASES += [(3, k, shared_from) for k in (1, 3) for shared_from in (0.0, 0.3, 2.0)]


def summed(losses: Any, values_P: Any, dtype: Any = np.float64) -> tuple[float, Any]:
    loss, gradient = 0.0, np.zeros(len(values_P))
    for part, piece in losses:
        value, gradient[part] = piece.evaluate(values_P[part], dtype)
        loss += value
    return loss, gradient


@pytest.mark.parametrize(("depth", "k", "shared_from"), CASES)
def test_loss_gradient_and_scores_are_those_of_the_formula(
    draw: Any, reference: Any, depth: int, k: int | str, shared_from: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shared_from: from everything in one dense product to every weight on its own."""
    monkeypatch.setattr(dense, "SHARED_FROM", shared_from)
    monkeypatch.setattr(dense, "ROWS_OF_A_BLOCK", 16)
    drawn = draw(depth=depth)
    pattern = drawn.pattern(k)
    told = reference(pattern, "level")
    values = np.random.default_rng(3).normal(size=pattern.size) * 0.3 + pattern.identity()
    w_nn = told.spread(values)
    wanted, wanted_nn = told.loss(w_nn, drawn.f_Nn, drawn.labels_NL)
    loss, gradient = summed(level_losses(drawn.rows(), pattern), values)
    assert loss == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_allclose(told.spread(gradient), wanted_nn, atol=1e-8)
    near, close = summed(level_losses(drawn.rows(), pattern), values, np.float32)
    assert near == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(told.spread(close), wanted_nn, atol=1e-3)
    refined = np.concatenate(Weights(pattern, values, "level").refine_all(drawn.f_Nn[:8]), axis=1)
    np.testing.assert_allclose(refined, told.refined(w_nn, drawn.f_Nn[:8]), atol=1e-9)


def test_gradient_by_finite_differences(draw: Any) -> None:
    drawn = draw(depth=3)
    pattern = drawn.pattern(3)
    losses, random = level_losses(drawn.rows(), pattern), np.random.default_rng(4)
    values = random.normal(size=pattern.size)
    _, gradient = summed(losses, values)
    for at in random.integers(0, pattern.size, 20):
        step = np.zeros(pattern.size)
        step[at] = 1e-5
        slope = (summed(losses, values + step)[0] - summed(losses, values - step)[0]) / 2e-5
        assert gradient[at] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_large_scores_do_not_overflow(draw: Any) -> None:
    drawn = draw(depth=1)
    drawn.f_Nn[:] *= 1e4
    rows, pattern = drawn.rows(), drawn.pattern("everything")
    loss, gradient = LevelLoss(rows, pattern, 0).evaluate(pattern.identity(), np.float32)
    assert np.isfinite(loss) and np.isfinite(gradient).all()


def test_blocks_hold_one_fold_each_and_no_row_is_lost() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(5000, 3)).astype(np.float32)
    labels, folds = random.integers(0, 3, size=(5000, 1)), random.integers(0, 4, 5000)
    pieces = [(scores[at : at + 700], labels[at : at + 700], folds[at : at + 700]) for at in range(0, 5000, 700)]
    rows = dense_rows(pieces)
    assert rows.count == 5000 and all(block.f_nB.shape[1] <= 512 for block in rows.blocks)
    for fold in range(4):
        mine = np.concatenate([block.f_nB.T for block in rows.only(fold).blocks])
        np.testing.assert_array_equal(mine, scores[folds == fold])
        assert rows.without(fold).count == (folds != fold).sum()
    assert rows.rows_by_category(3).tolist() == np.bincount(labels[:, 0]).tolist()
