"""Cross-fitting: folds, λ by cross-validation, weights that were not fitted on the rows they refine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.core.base.folds import assign_folds
from prodrec.eval.refine.cross_fit import (
    NO_CHANGE_LAMBDA,
    CrossFitResult,
    cross_fit,
    search_lambda,
)
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.held_out import HeldOut, judge
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.tree import Tree


def test_no_fold_is_refined_by_weights_fitted_on_it(draw: Any) -> None:
    """Other labels in a fold change all weights except those that refine this fold."""
    drawn = draw(depth=2, rows=60)
    settings = MCRSettings(lambda_=1.0, folds=3)
    before = cross_fit(drawn.samples(), drawn.tree, settings)
    labels = drawn.labels_NL.copy()
    in_fold = drawn.fold_N == 1
    labels[in_fold] = labels[in_fold][::-1]
    samples = DenseSamples.from_chunks([(drawn.f_Nn.astype(np.float32), labels, drawn.fold_N)])
    after = cross_fit(samples, drawn.tree, settings)
    pairs = {fold: (before.folds[fold].model, after.folds[fold].model) for fold in range(3)}
    same = {
        fold: a.related.equals(b.related) and np.array_equal(a.weights_P, b.weights_P) for fold, (a, b) in pairs.items()
    }
    assert same == {0: False, 1: True, 2: False}
    assert not np.array_equal(before.final.model.weights_P, after.final.model.weights_P)


def held_out(samples: DenseSamples, result: CrossFitResult, tree: Tree) -> HeldOut:
    return HeldOut.total((judge(samples.in_fold(fold), tree, f.model) for fold, f in result.folds.items()), tree.n)


def test_lambda_has_the_smallest_held_out_loss(draw: Any) -> None:
    drawn = draw(depth=2, rows=900)
    samples = drawn.samples()
    result = cross_fit(samples, drawn.tree, MCRSettings(folds=3))
    losses = {lambda_: loss for lambda_, loss in result.loss_by_lambda.items() if lambda_ not in result.harmful}
    assert result.lambda_ == min(losses, key=losses.__getitem__) and len(result.loss_by_lambda) >= 5
    loss = held_out(samples, result, drawn.tree).loss / len(samples)
    assert loss == pytest.approx(losses[result.lambda_])
    assert loss <= judge(samples, drawn.tree, None).loss / len(samples) + 1e-3
    assert set(result.folds) == {0, 1, 2} and result.final.status == "converged"
    assert result.cross_validation.fits == 3 * len(result.loss_by_lambda) and result.cross_validation.not_converged == 0


@pytest.mark.parametrize("top_k", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_chosen_lambda_lowers_no_accuracy(draw: Any, seed: int, top_k: bool) -> None:
    drawn = draw(depth=2, rows=150, seed=seed)
    samples = drawn.top_k(4).samples if top_k else drawn.samples()
    result = cross_fit(samples, drawn.tree, MCRSettings(folds=3))
    raw = judge(samples, drawn.tree, None)
    assert not held_out(samples, result, drawn.tree).is_worse_than(raw, drawn.tree)
    for lambda_ in result.harmful:
        harmful = cross_fit(samples, drawn.tree, MCRSettings(folds=3, lambda_=lambda_))
        assert held_out(samples, harmful, drawn.tree).is_worse_than(raw, drawn.tree) and not harmful.harmful


def test_scores_stay_as_they_are_if_every_lambda_lowers_an_accuracy(draw: Any, monkeypatch: Any) -> None:
    drawn = draw(depth=2, rows=150)
    monkeypatch.setattr(HeldOut, "is_worse_than", lambda *_: True)
    result = cross_fit(drawn.samples(), drawn.tree, MCRSettings(folds=3))
    assert result.lambda_ == NO_CHANGE_LAMBDA and result.harmful == set(result.loss_by_lambda) - {NO_CHANGE_LAMBDA}
    f_Nn = drawn.f_Nn.astype(np.float32)
    np.testing.assert_allclose(np.concatenate(result.final.model.refine_dense(f_Nn), axis=1), f_Nn, atol=1e-5)


def test_the_forms_of_the_paper_are_chosen_by_the_loss_alone(draw: Any) -> None:
    drawn = draw(depth=2, rows=150)
    for form in ({"penalty": "weights"}, {"normaliser": "related"}):
        assert not cross_fit(drawn.samples(), drawn.tree, MCRSettings(folds=3, **form)).harmful


@pytest.mark.parametrize("best", [2e-3, 3.0, 40.0, 900.0, 3.3e3, 2e5, 1e9])
def test_the_search_goes_downhill(best: float) -> None:
    tried: list[float] = []

    def loss(lambda_: float) -> float:
        tried.append(lambda_)
        return abs(np.log10(lambda_ / best))

    lambda_ = search_lambda(loss)
    assert abs(np.log10(lambda_ / min(best, 10**6.5))) <= 0.26
    assert len(tried) <= 12 and len(set(tried)) == len(tried)


def test_folds_are_even_and_depend_on_the_row_alone() -> None:
    rows = np.arange(50_000)
    folds = assign_folds(rows, 5)
    assert folds.min() == 0 and folds.max() == 4 and np.bincount(folds).min() > 9_500
    assert (assign_folds(rows[7::3], 5) == folds[7::3]).all()
    for step in (2, 3, 5, 8):  # a regular selection of rows is spread over all folds
        assert np.bincount(folds[::step], minlength=5).min() > 0.9 * len(rows) / step / 5
