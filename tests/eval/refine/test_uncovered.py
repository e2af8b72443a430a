"""Categories without a sample to fit on keep their probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.fit import fit_with_selection
from prodrec.eval.refine.held_out import judge
from prodrec.eval.refine.related_sets import RelatedSets
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.uncovered import place_uncovered

MISSING = (2, 5, 8)
"""Leaves, of nine, without a sample in the fit."""


def test_uncovered_categories_keep_their_probability() -> None:
    random = np.random.default_rng(0)
    raw, refined = random.normal(size=(7, 6)), 3 * random.normal(size=(7, 6)) + 5
    covered = np.array([True, False, True, True, False, True])
    placed = refined.copy()
    place_uncovered(placed, raw, covered)
    p, p_raw, p_refined = (softmax(scores, axis=1) for scores in (placed, raw, refined))
    np.testing.assert_allclose(p[:, ~covered], p_raw[:, ~covered])
    share = p_refined[:, covered] / p_refined[:, covered].sum(1, keepdims=True)
    np.testing.assert_allclose(p[:, covered] / p[:, covered].sum(1, keepdims=True), share)
    everything, nothing = refined.copy(), refined.copy()
    place_uncovered(everything, raw, np.ones(6, np.bool_))
    place_uncovered(nothing, raw, np.zeros((7, 6), np.bool_))
    assert np.array_equal(everything, refined) and np.array_equal(nothing, raw)


def test_scores_without_limits() -> None:
    raw = np.array([[1e30, -1e30, 0.0], [0.0, 0.0, -1e38]], np.float32)
    refined = raw.copy()
    place_uncovered(refined, raw, np.array([True, True, False]))
    assert np.isfinite(refined).all() and refined[0, 2] == 0


@pytest.mark.parametrize("top_k", [False, True])
@pytest.mark.parametrize("penalty", ["identity", "weights"])
def test_a_fit_does_not_switch_them_off(draw: Any, top_k: bool, penalty: str) -> None:
    drawn = draw(depth=2, rows=900, counts=(3, 9))
    first_leaf = int(drawn.tree.starts_L1[1])
    is_missing_N = np.isin(drawn.labels_NL[:, 1] - first_leaf, MISSING)
    settings = MCRSettings(penalty=penalty, k=2)
    if top_k:
        samples = drawn.top_k(5).samples
        seen, unseen = samples.take(~is_missing_N), samples.take(is_missing_N)
        model = fit_with_selection(seen, drawn.tree, settings, 1.0).model
        refined, raw = model.refine_top_k(unseen)[1], unseen.scores[1]
        true = unseen.is_true(1)
        right, right_raw = (np.take_along_axis(true, s.argmax(1)[:, None], 1).mean() for s in (refined, raw))
    else:
        seen, unseen = (
            DenseSamples.from_chunks([(drawn.f_Nn[rows].astype(np.float32), drawn.labels_NL[rows], drawn.fold_N[rows])])
            for rows in (~is_missing_N, is_missing_N)
        )
        model = fit_with_selection(seen, drawn.tree, settings, 1.0).model
        refined = model.refine_dense(drawn.f_Nn[is_missing_N].astype(np.float32))[1]
        raw, true = drawn.f_Nn[is_missing_N, first_leaf:], drawn.labels_NL[is_missing_N, 1] - first_leaf
        right, right_raw = ((scores.argmax(1) == true).mean() for scores in (refined, raw))
    assert model.covered_n is not None
    assert np.flatnonzero(~model.covered_n).tolist() == [first_leaf + c for c in MISSING]
    assert right_raw > 0.3 and right > right_raw - 0.08
    raw_loss = judge(unseen, drawn.tree, None).loss
    assert np.isfinite(raw_loss) and judge(unseen, drawn.tree, model).loss < 1.3 * raw_loss


def test_the_raw_model_of_a_large_penalty_changes_nothing(draw: Any) -> None:
    drawn = draw(depth=2, rows=200, counts=(3, 9))
    rows = ~np.isin(drawn.labels_NL[:, 1] - int(drawn.tree.starts_L1[1]), MISSING)
    seen = DenseSamples.from_chunks([(drawn.f_Nn[rows].astype(np.float32), drawn.labels_NL[rows], drawn.fold_N[rows])])
    model = fit_with_selection(seen, drawn.tree, MCRSettings(), 1e9).model
    assert model.related.weight_count < RelatedSets.all_categories(drawn.tree).weight_count
    refined = np.concatenate(model.refine_dense(drawn.f_Nn.astype(np.float32)), axis=1)
    np.testing.assert_allclose(refined, drawn.f_Nn, atol=1e-4)
