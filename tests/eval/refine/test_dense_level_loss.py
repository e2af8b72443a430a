"""The loss with the normaliser "level" equals the formulas, whether products are dense, sparse or both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine import dense_level_loss, dense_samples
from prodrec.eval.refine.dense_level_loss import LevelLoss, level_losses
from prodrec.eval.refine.model import MCRModel

CASES = [(depth, k, dense_level_loss.DENSE_SHARE) for depth in (1, 2, 3, 4) for k in (1, 3, "all", "complete")]
CASES += [(3, k, dense_share) for k in (1, 3) for dense_share in (0.0, 0.3, 2.0)]


def total(losses: Any, weights_P: Any, dtype: Any = np.float64) -> tuple[float, Any]:
    """Return the sum of the losses of all levels, and its gradient."""
    loss, gradient = 0.0, np.zeros(len(weights_P))
    for part, level_loss in losses:
        value, gradient[part] = level_loss.evaluate(weights_P[part], dtype)
        loss += value
    return loss, gradient


@pytest.mark.parametrize(("depth", "k", "dense_share"), CASES)
@pytest.mark.parametrize("early", [0.0, 0.4])
def test_loss_gradient_and_scores_equal_the_formula(
    draw: Any,
    reference: Any,
    depth: int,
    k: int | str,
    dense_share: float,
    early: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """dense_share 0: all products are dense; 2: all are sparse."""
    monkeypatch.setattr(dense_level_loss, "DENSE_SHARE", dense_share)
    monkeypatch.setattr(dense_samples, "SAMPLES_PER_BLOCK", 16)
    drawn = draw(depth=depth, early=early)
    related = drawn.related(k)
    expected = reference(related, "level")
    weights_P = np.random.default_rng(3).normal(size=related.weight_count) * 0.3 + related.identity_P()
    w_nn = expected.matrix(weights_P)
    expected_loss, expected_gradient = expected.loss(w_nn, drawn.f_Nn, drawn.labels_NL)
    loss, gradient = total(level_losses(drawn.samples(), related), weights_P)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    np.testing.assert_allclose(expected.matrix(gradient), expected_gradient, atol=1e-8)
    loss32, gradient32 = total(level_losses(drawn.samples(), related), weights_P, np.float32)
    assert loss32 == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(expected.matrix(gradient32), expected_gradient, atol=1e-3)
    refined = np.concatenate(MCRModel(related, weights_P, "level").refine_dense(drawn.f_Nn[:8]), axis=1)
    np.testing.assert_allclose(refined, expected.refined(w_nn, drawn.f_Nn[:8]), atol=1e-9)


def test_gradient_by_finite_differences(draw: Any, check_gradient: Any) -> None:
    drawn = draw(depth=3)
    related = drawn.related(3)
    losses, random = level_losses(drawn.samples(), related), np.random.default_rng(4)
    check_gradient(lambda weights_P: total(losses, weights_P), random.normal(size=related.weight_count), random)


def test_samples_without_a_label_add_exactly_nothing(draw: Any) -> None:
    drawn = draw(depth=2)
    drawn.labels_NL[:, 1] = -1
    loss, gradient = LevelLoss(drawn.samples(), drawn.related(3), 1).evaluate(drawn.related(3).identity_P(), np.float32)
    assert loss == 0 and not gradient.any()


def test_large_scores_do_not_overflow(draw: Any) -> None:
    drawn = draw(depth=1)
    drawn.f_Nn[:] *= 1e4
    related = drawn.related("complete")
    loss, gradient = LevelLoss(drawn.samples(), related, 0).evaluate(related.identity_P(), np.float32)
    assert np.isfinite(loss) and np.isfinite(gradient).all()
