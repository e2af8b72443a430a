"""Fits against a plain dense reference, R_c between two fits, λ by cross-validation, out-of-fold weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from prodrec.eval.refine.dense import dense_rows
from prodrec.eval.refine.fit import cross_fit, fit, fit_twice, fold_of, loss_of, search
from prodrec.eval.refine.pattern import everything, most_related
from prodrec.eval.refine.settings import Settings
from prodrec.eval.refine.weights import Weights

CASES = [
    (1, 3, "level", "weights"),
    (2, 1, "level", "identity"),
    (3, "everything", "level", "identity"),
    (2, 3, "related", "weights"),
    (3, 1, "related", "identity"),
]


@pytest.mark.parametrize(("depth", "k", "normaliser", "penalty"), CASES)
def test_fitted_scores_are_those_of_a_plain_dense_fit(
    draw: Any, reference: Any, depth: int, k: int | str, normaliser: str, penalty: str
) -> None:
    drawn = draw(depth=depth, counts=(2, 3, 4))
    pattern = drawn.pattern(k)
    told = reference(pattern, normaliser)
    target = np.eye(drawn.tree.n) * (penalty == "identity")

    def plain(values: Any) -> tuple[float, Any]:
        w_nn = told.spread(values)
        loss, gradient = told.loss(w_nn, drawn.f_Nn, drawn.labels_NL)
        away = (w_nn - target) * told.inside_nn
        return loss + 2.0 * (away**2).sum(), (gradient + 4.0 * away)[told.inside_nn]

    wanted = minimize(plain, np.zeros(pattern.size), jac=True, method="BFGS", options={"gtol": 1e-8, "maxiter": 500})
    settings = Settings(normaliser=normaliser, penalty=penalty, tolerance=1e-15)
    found = fit(drawn.rows(), pattern, settings, 2.0, precision="float64")
    assert sum(part.objective for part in found.solved) == pytest.approx(wanted.fun, rel=1e-9)
    refined = np.concatenate(found.weights.refine_all(drawn.f_Nn[:6]), axis=1)
    np.testing.assert_allclose(refined, told.refined(told.spread(wanted.x), drawn.f_Nn[:6]), atol=1e-6)
    usual = fit(drawn.rows(), pattern, Settings(normaliser=normaliser, penalty=penalty), 2.0)
    assert sum(part.objective for part in usual.solved) == pytest.approx(wanted.fun, rel=1e-4)


@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_sparse_is_dense_where_r_c_is_everything(draw: Any, normaliser: str) -> None:
    """Two levels and all of K: eq. 4 leaves nothing out, and the second fit is the first."""
    drawn = draw(depth=2)
    settings = Settings(k=drawn.tree.n, normaliser=normaliser, tolerance=1e-13)
    both = fit_twice(drawn.rows(), drawn.tree, settings, 1.0)
    once = fit_twice(drawn.rows(), drawn.tree, Settings(k="all", normaliser=normaliser, tolerance=1e-13), 1.0)
    assert both.weights.pattern.is_full and once.first is once.weights
    np.testing.assert_allclose(both.weights.values_P, once.weights.values_P, atol=1e-4)


def test_the_second_fit_is_inside_what_the_first_one_chose(draw: Any) -> None:
    drawn = draw(depth=3)
    found = fit_twice(drawn.rows(), drawn.tree, Settings(k=2), 1.0)
    assert found.first is not None and found.first.pattern.is_full
    assert found.weights.pattern.same(most_related(found.first.pattern, found.first.values_P, 2))
    alone = fit(drawn.rows(), found.weights.pattern, Settings(tolerance=1e-12), 1.0)
    np.testing.assert_allclose(found.weights.values_P, alone.weights.values_P, atol=1e-3)


def test_a_large_lambda_leaves_the_scores_as_they_are(draw: Any) -> None:
    drawn = draw(depth=3)
    found = fit_twice(drawn.rows(), drawn.tree, Settings(), 1e9).weights.refine_all(drawn.f_Nn)
    np.testing.assert_allclose(np.concatenate(found, axis=1), drawn.f_Nn, atol=1e-5)
    silent = fit_twice(drawn.rows(), drawn.tree, Settings(penalty="weights"), 1e9).weights.refine_all(drawn.f_Nn)
    np.testing.assert_allclose(np.concatenate(silent, axis=1), 0, atol=1e-5)


def test_no_fold_is_refined_by_weights_that_saw_it(draw: Any) -> None:
    """Other labels in a fold change all weights but those that refine this fold."""
    drawn = draw(depth=2, rows=60)
    settings = Settings(strength=1.0, folds=3)
    before = cross_fit(drawn.rows(), drawn.tree, settings)
    labels = drawn.labels_NL.copy()
    mine = drawn.fold_N == 1
    labels[mine] = labels[mine][::-1]
    after = cross_fit(dense_rows([(drawn.f_Nn.astype(np.float32), labels, drawn.fold_N)]), drawn.tree, settings)
    pairs = {fold: (before.folds[fold].weights, after.folds[fold].weights) for fold in range(3)}
    same = {
        fold: a.pattern.same(b.pattern) and np.array_equal(a.values_P, b.values_P) for fold, (a, b) in pairs.items()
    }
    assert same == {0: False, 1: True, 2: False}
    assert not np.array_equal(before.final.weights.values_P, after.final.weights.values_P)


def test_lambda_is_the_best_on_rows_left_out(draw: Any) -> None:
    drawn = draw(depth=2, rows=90)
    found = cross_fit(drawn.rows(), drawn.tree, Settings(folds=3))
    assert found.strength == min(found.tried, key=found.tried.__getitem__) and len(found.tried) >= 5
    rows = drawn.rows()
    loss = sum(loss_of(rows.only(fold), found.folds[fold].weights) for fold in range(3)) / rows.count
    assert loss == pytest.approx(found.tried[found.strength])
    full = everything(drawn.tree)
    assert loss <= loss_of(rows, Weights(full, full.identity(), "level")) / rows.count + 1e-3
    assert set(found.folds) == {0, 1, 2} and found.final.status == "converged"


@pytest.mark.parametrize("best", [2e-3, 3.0, 40.0, 900.0, 3.3e3, 2e5, 1e9])
def test_search_walks_downhill(best: float) -> None:
    tried: list[float] = []

    def loss(strength: float) -> float:
        tried.append(strength)
        return abs(np.log10(strength / best))

    found = search(loss)
    assert abs(np.log10(found / min(best, 10**6.5))) <= 0.26
    assert len(tried) <= 12 and len(set(tried)) == len(tried)


def test_folds_are_even_and_known_by_the_row_alone() -> None:
    rows = np.arange(50_000)
    folds = fold_of(rows, 5)
    assert folds.min() == 0 and folds.max() == 4 and np.bincount(folds).min() > 9_500
    assert (fold_of(rows[7::3], 5) == folds[7::3]).all()
    for step in (2, 3, 5, 8):  # no pattern in the rows is a pattern in the folds
        assert np.bincount(folds[::step], minlength=5).min() > 0.9 * len(rows) / step / 5
