"""The losses of top-k samples equal the formulas on relative scores, where absent scores are 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine import top_k_samples
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.top_k_loss import level_losses, refined_top_k, related_loss


@pytest.mark.parametrize("normaliser", ["level", "related"])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("k", [1, 3, "complete"])
@pytest.mark.parametrize("early", [0.0, 0.4])
def test_loss_gradient_and_scores_equal_the_formula(
    draw: Any, reference: Any, normaliser: str, depth: int, k: int | str, early: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_k_samples, "CHUNK_BYTES", 4 * 21 * 7)  # several chunks
    drawn = draw(depth=depth, early=early)
    top_k, related = drawn.top_k(4), drawn.related(k)
    expected = reference(related, normaliser, top_k.present_Nn)
    weights_P = np.random.default_rng(3).normal(size=related.weight_count) * 0.3 + related.identity_P()
    w_nn = expected.matrix(weights_P)
    expected_loss, expected_gradient = expected.loss(w_nn, top_k.f_Nn, drawn.labels_NL)
    if normaliser == "level":
        loss, gradient = 0.0, np.zeros(related.weight_count)
        for part, level_loss in level_losses(top_k.samples, related):
            value, gradient[part] = level_loss.evaluate(weights_P[part], np.float64)
            loss += value
    else:
        loss, gradient = related_loss(top_k.samples, related).evaluate(weights_P, np.float64)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    np.testing.assert_allclose(expected.matrix(gradient), expected_gradient, atol=1e-8)
    refined = refined_top_k(top_k.samples, related, weights_P, normaliser)
    expected_Nn = expected.refined(w_nn, top_k.f_Nn)
    for categories_NK, refined_NK in zip(top_k.samples.categories, refined, strict=True):
        expected_NK = np.take_along_axis(expected_Nn, categories_NK.astype(int), axis=1)
        np.testing.assert_allclose(refined_NK, expected_NK, atol=1e-5)


def test_gradient_by_finite_differences(draw: Any, check_gradient: Any) -> None:
    drawn = draw(depth=3)
    related, random = drawn.related(3), np.random.default_rng(4)
    loss = related_loss(drawn.top_k(4).samples, related)
    weights_P = random.normal(size=related.weight_count)
    check_gradient(lambda weights_P: loss.evaluate(weights_P, np.float64), weights_P, random)


def test_identity_weights_do_not_change_relative_scores(draw: Any) -> None:
    drawn = draw(depth=2)
    samples, related = drawn.top_k(4).samples, drawn.related(3)
    refined = MCRModel(related, related.identity_P(), "level", True).refine_top_k(samples)
    for refined_NK, scores_NK in zip(refined, samples.scores, strict=True):
        np.testing.assert_array_equal(refined_NK, scores_NK)


def test_samples_without_their_true_category_add_nothing(draw: Any) -> None:
    drawn = draw(depth=1)
    top_k = drawn.top_k(1)
    samples = top_k.samples
    lost = ~top_k.present_Nn[np.arange(24), drawn.labels_NL[:, 0]]
    assert lost.any() and not lost.all()
    related = drawn.related("complete")
    weights_P = np.random.default_rng(0).normal(size=related.weight_count)
    every, with_true = (
        level_losses(part, related)[0][1].evaluate(weights_P, np.float64) for part in (samples, samples.take(~lost))
    )
    assert every[0] == with_true[0] and (every[1] == with_true[1]).all()
    nothing = level_losses(samples.take(lost), related)[0][1].evaluate(weights_P, np.float64)
    assert nothing[0] == 0 and not nothing[1].any()
