"""Fits compared with a plain dense reference, and R_c between two fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from prodrec.eval.refine.fit import fit, fit_with_selection
from prodrec.eval.refine.related_sets import select_related
from prodrec.eval.refine.settings import MCRSettings

CASES = [
    (1, 3, "level", "weights"),
    (2, 1, "level", "identity"),
    (3, "complete", "level", "identity"),
    (2, 3, "related", "weights"),
    (3, 1, "related", "identity"),
]


@pytest.mark.parametrize(("depth", "k", "normaliser", "penalty"), CASES)
def test_fitted_scores_equal_those_of_a_plain_dense_fit(
    draw: Any, reference: Any, depth: int, k: int | str, normaliser: str, penalty: str
) -> None:
    drawn = draw(depth=depth, counts=(2, 3, 4))
    related = drawn.related(k)
    plain = reference(related, normaliser)
    target = np.eye(drawn.tree.n) * (penalty == "identity")

    def objective(weights_P: Any) -> tuple[float, Any]:
        w_nn = plain.matrix(weights_P)
        loss, gradient = plain.loss(w_nn, drawn.f_Nn, drawn.labels_NL)
        difference = (w_nn - target) * plain.related_nn
        return loss + 2.0 * (difference**2).sum(), (gradient + 4.0 * difference)[plain.related_nn]

    options = {"gtol": 1e-8, "maxiter": 500}
    expected = minimize(objective, np.zeros(related.weight_count), jac=True, method="BFGS", options=options)
    settings = MCRSettings(normaliser=normaliser, penalty=penalty, tolerance=1e-15)
    result = fit(drawn.samples(), related, settings, 2.0, precision="float64")
    assert sum(part.objective for part in result.solver) == pytest.approx(expected.fun, rel=1e-9)
    refined = np.concatenate(result.model.refine_dense(drawn.f_Nn[:6]), axis=1)
    np.testing.assert_allclose(refined, plain.refined(plain.matrix(expected.x), drawn.f_Nn[:6]), atol=1e-6)
    usual = fit(drawn.samples(), related, MCRSettings(normaliser=normaliser, penalty=penalty), 2.0)
    assert sum(part.objective for part in usual.solver) == pytest.approx(expected.fun, rel=1e-4)


@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_a_selection_of_all_categories_repeats_the_first_fit(draw: Any, normaliser: str) -> None:
    """With two levels and the largest K, eq. 4 selects every category."""
    drawn = draw(depth=2)
    settings = MCRSettings(k=drawn.tree.n, normaliser=normaliser, tolerance=1e-13)
    twice = fit_with_selection(drawn.samples(), drawn.tree, settings, 1.0)
    settings = MCRSettings(k="all", normaliser=normaliser, tolerance=1e-13)
    once = fit_with_selection(drawn.samples(), drawn.tree, settings, 1.0)
    assert twice.model.related.is_complete and once.first is once.model
    np.testing.assert_allclose(twice.model.weights_P, once.model.weights_P, atol=1e-4)


def test_the_second_fit_is_within_the_sets_that_the_first_one_selects(draw: Any) -> None:
    drawn = draw(depth=3)
    result = fit_with_selection(drawn.samples(), drawn.tree, MCRSettings(k=2), 1.0)
    related = result.model.related
    assert result.first is not None and result.first.related.is_complete
    assert related.equals(select_related(result.first.related, result.first.weights_P, 2))
    alone = fit(drawn.samples(), related, MCRSettings(tolerance=1e-12), 1.0)
    np.testing.assert_allclose(result.model.weights_P, alone.model.weights_P, atol=1e-3)


def test_a_large_lambda_does_not_change_the_scores(draw: Any) -> None:
    drawn = draw(depth=3)
    result = fit_with_selection(drawn.samples(), drawn.tree, MCRSettings(), 1e9)
    np.testing.assert_allclose(np.concatenate(result.model.refine_dense(drawn.f_Nn), axis=1), drawn.f_Nn, atol=1e-5)
    result = fit_with_selection(drawn.samples(), drawn.tree, MCRSettings(penalty="weights"), 1e9)
    np.testing.assert_allclose(np.concatenate(result.model.refine_dense(drawn.f_Nn), axis=1), 0, atol=1e-5)
