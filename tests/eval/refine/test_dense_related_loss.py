"""The loss with the normaliser "related" equals eq. 2 as printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine import dense_samples
from prodrec.eval.refine.dense_related_loss import RelatedLoss, Submatrix
from prodrec.eval.refine.model import MCRModel


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 3, "all", "complete"])
@pytest.mark.parametrize("early", [0.0, 0.4])
def test_loss_gradient_and_scores_equal_the_formula(
    draw: Any, reference: Any, depth: int, k: int | str, early: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_samples, "SAMPLES_PER_BLOCK", 16)
    drawn = draw(depth=depth, early=early)
    related = drawn.related(k)
    expected = reference(related, "related")
    weights_P = np.random.default_rng(3).normal(size=related.weight_count) * 0.3 + related.identity_P()
    w_nn = expected.matrix(weights_P)
    expected_loss, expected_gradient = expected.loss(w_nn, drawn.f_Nn, drawn.labels_NL)
    related_loss = RelatedLoss(drawn.samples(), related)
    loss, gradient = related_loss.evaluate(weights_P, np.float64)
    assert loss == pytest.approx(expected_loss, rel=1e-9)
    np.testing.assert_allclose(expected.matrix(gradient), expected_gradient, atol=1e-8)
    assert related_loss.evaluate(weights_P, np.float32)[0] == pytest.approx(expected_loss, rel=1e-5)
    refined = np.concatenate(MCRModel(related, weights_P, "related").refine_dense(drawn.f_Nn[:8]), axis=1)
    np.testing.assert_allclose(refined, expected.refined(w_nn, drawn.f_Nn[:8]), atol=1e-9)


def test_gradient_by_finite_differences(draw: Any, check_gradient: Any) -> None:
    drawn = draw(depth=3)
    related = drawn.related(3)
    loss, random = RelatedLoss(drawn.samples(), related), np.random.default_rng(4)
    weights_P = random.normal(size=related.weight_count)
    check_gradient(lambda weights_P: loss.evaluate(weights_P, np.float64), weights_P, random)


@pytest.mark.parametrize("k", [3, "complete"])
def test_samples_without_a_label_add_exactly_nothing(draw: Any, k: int | str) -> None:
    drawn = draw(depth=2)
    drawn.labels_NL[:] = -1
    loss, gradient = RelatedLoss(drawn.samples(), drawn.related(k)).evaluate(drawn.related(k).identity_P(), np.float32)
    assert loss == 0 and not gradient.any()


def test_refined_scores_are_logarithms_of_probabilities(draw: Any) -> None:
    """With R_c = Ω the probabilities of all categories of all levels add up to 1."""
    drawn = draw(depth=2)
    related = drawn.related("complete")
    refined = MCRModel(related, related.identity_P(), "related").refine_dense(drawn.f_Nn)
    np.testing.assert_allclose(np.exp(np.concatenate(refined, axis=1)).sum(axis=1), 1)


def test_the_submatrix_has_the_weights_of_both_sets(draw: Any) -> None:
    """w_t acts through R_t ∩ R_c only."""
    drawn = draw(depth=3)
    related = drawn.related(1)
    submatrix = Submatrix.of(related, 8)
    w_QQ = submatrix.matrix(np.ones(related.weight_count), np.float64)
    sets = [set(part.tolist()) for part in np.split(related.columns_P, related.bounds_n1[1:-1])]
    categories = submatrix.categories_Q.tolist()
    assert set(categories) == sets[8]
    assert w_QQ.tolist() == [[float(s in sets[t]) for s in categories] for t in categories]
