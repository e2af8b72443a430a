"""The loss as eq. 2 prints it: equal to the formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine import dense
from prodrec.eval.refine.related import RelatedLoss, members_of
from prodrec.eval.refine.weights import Weights


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 3, "all", "everything"])
def test_loss_gradient_and_scores_are_those_of_the_formula(
    draw: Any, reference: Any, depth: int, k: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "ROWS_OF_A_BLOCK", 16)
    drawn = draw(depth=depth)
    pattern = drawn.pattern(k)
    told = reference(pattern, "related")
    values = np.random.default_rng(3).normal(size=pattern.size) * 0.3 + pattern.identity()
    w_nn = told.spread(values)
    wanted, wanted_nn = told.loss(w_nn, drawn.f_Nn, drawn.labels_NL)
    loss, gradient = RelatedLoss(drawn.rows(), pattern).evaluate(values, np.float64)
    assert loss == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_allclose(told.spread(gradient), wanted_nn, atol=1e-8)
    assert RelatedLoss(drawn.rows(), pattern).evaluate(values, np.float32)[0] == pytest.approx(wanted, rel=1e-5)
    refined = np.concatenate(Weights(pattern, values, "related").refine_all(drawn.f_Nn[:8]), axis=1)
    np.testing.assert_allclose(refined, told.refined(w_nn, drawn.f_Nn[:8]), atol=1e-9)


def test_gradient_by_finite_differences(draw: Any) -> None:
    drawn = draw(depth=3)
    pattern = drawn.pattern(3)
    loss, random = RelatedLoss(drawn.rows(), pattern), np.random.default_rng(4)
    values = random.normal(size=pattern.size)
    _, gradient = loss.evaluate(values, np.float64)
    for at in random.integers(0, pattern.size, 20):
        step = np.zeros(pattern.size)
        step[at] = 1e-5
        slope = (loss.evaluate(values + step, np.float64)[0] - loss.evaluate(values - step, np.float64)[0]) / 2e-5
        assert gradient[at] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_refined_scores_are_logarithms_of_probabilities(draw: Any) -> None:
    """With R_c = Ω the probabilities of all categories of all levels add up to 1."""
    drawn = draw(depth=2)
    pattern = drawn.pattern("everything")
    refined = Weights(pattern, pattern.identity(), "related").refine_all(drawn.f_Nn)
    np.testing.assert_allclose(np.exp(np.concatenate(refined, axis=1)).sum(axis=1), 1)


def test_members_hold_the_weights_of_both_sets(draw: Any) -> None:
    """w_t counts for R_t ∩ R_c only."""
    drawn = draw(depth=3)
    pattern = drawn.pattern(1)
    members = members_of(pattern, 8)
    w_QQ = members.matrix(np.ones(pattern.size), np.float64)
    sets = [set(part.tolist()) for part in np.split(pattern.columns_P, pattern.bounds_n1[1:-1])]
    inside = members.members_Q.tolist()
    assert set(inside) == sets[8]
    assert w_QQ.tolist() == [[float(s in sets[t]) for s in inside] for t in inside]
