"""Cross-fitting: folds, λ by cross-validation, weights that were not fitted on the rows they refine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine.cross_fit import assign_folds, cross_fit, search_lambda
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.fit import negative_log_likelihood
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.related_sets import RelatedSets
from prodrec.eval.refine.settings import MCRSettings


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


def test_lambda_has_the_smallest_held_out_loss(draw: Any) -> None:
    drawn = draw(depth=2, rows=90)
    result = cross_fit(drawn.samples(), drawn.tree, MCRSettings(folds=3))
    losses = result.loss_by_lambda
    assert result.lambda_ == min(losses, key=losses.__getitem__) and len(losses) >= 5
    samples = drawn.samples()
    loss = sum(negative_log_likelihood(samples.in_fold(fold), result.folds[fold].model) for fold in range(3))
    assert loss / len(samples) == pytest.approx(losses[result.lambda_])
    complete = RelatedSets.all_categories(drawn.tree)
    raw_loss = negative_log_likelihood(samples, MCRModel(complete, complete.identity_P(), "level"))
    assert loss / len(samples) <= raw_loss / len(samples) + 1e-3
    assert set(result.folds) == {0, 1, 2} and result.final.status == "converged"
    assert result.cross_validation.fits == 3 * len(losses) and result.cross_validation.not_converged == 0


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
