"""Loss and accuracies on samples that the fit has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from prodrec.eval.refine.fit import fit_with_selection, split_loss
from prodrec.eval.refine.held_out import HeldOut, judge
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.tree import Tree


def test_raw_scores(draw: Any) -> None:
    drawn = draw(depth=2, rows=200)
    judged, loss, accuracies = judge(drawn.samples(), drawn.tree, None), 0.0, []
    for j, (start, end) in enumerate(zip(drawn.tree.starts_L1, drawn.tree.starts_L1[1:], strict=False)):
        has_label = drawn.labels_NL[:, j] >= 0
        scores, label = drawn.f_Nn[has_label, start:end].astype(np.float32), drawn.labels_NL[has_label, j] - start
        loss -= np.take_along_axis(log_softmax(scores.astype(np.float64), axis=1), label[:, None], 1).sum()
        right = scores.argmax(1) == label
        accuracies += [right.mean(), np.mean([right[label == c].mean() for c in np.unique(label)])]
    assert judged.loss == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(judged.accuracies(drawn.tree).ravel(), accuracies)


@pytest.mark.parametrize("top_k", [False, True])
@pytest.mark.parametrize("normaliser", ["level", "related"])
def test_the_loss_is_the_one_that_the_fit_minimises(draw: Any, top_k: bool, normaliser: str) -> None:
    drawn = draw(depth=3, rows=200)
    samples = drawn.top_k(3).samples if top_k else drawn.samples()
    model = fit_with_selection(samples, drawn.tree, MCRSettings(normaliser=normaliser), 1.0).model
    parts = split_loss(samples, model.related, normaliser)
    fitted = sum(loss.evaluate(model.weights_P[part], np.float64)[0] for part, loss in parts)
    assert judge(samples, drawn.tree, model).loss == pytest.approx(fitted, rel=1e-4)


def test_a_true_category_outside_the_top_k_is_wrong(draw: Any) -> None:
    drawn = draw(depth=2, rows=300)
    judged = judge(drawn.top_k(2).samples, drawn.tree, None)
    every = judge(drawn.samples(), drawn.tree, None)
    assert (judged.samples_n == every.samples_n).all() and (judged.right_n == every.right_n).all()


@pytest.mark.parametrize(
    ("root_right", "leaf_right", "worse"),
    [
        ([5, 5], [5, 5, 5, 5], False),
        ([6, 5], [6, 5, 5, 5], False),
        ([4, 5], [9, 9, 9, 9], False),  # one root sample for many leaves
        ([0, 5], [6, 5, 5, 5], True),  # on average
        ([9, 9], [5, 5, 5, 4], True),  # a leaf
        ([9, 9], [9, 9, 2, 2], False),  # leaves lose and others gain
    ],
)
def test_worse_is_worse_for_the_leaves_or_on_average(root_right: list[int], leaf_right: list[int], worse: bool) -> None:
    tree = Tree(("root", "leaf"), np.array([0, 2, 6]), np.array([-1, -1, 0, 0, 1, 1]))
    samples = np.full(6, 10)
    raw = HeldOut(1.0, samples, np.full(6, 5))
    assert HeldOut(0.5, samples, np.array(root_right + leaf_right)).is_worse_than(raw, tree) is worse


def test_macc_counts_beside_acc() -> None:
    tree = Tree(("leaf",), np.array([0, 2]), np.array([-1, -1]))
    raw = HeldOut(1.0, np.array([100, 2]), np.array([50, 1]))
    assert HeldOut(0.5, raw.samples_n, np.array([60, 0])).is_worse_than(raw, tree)
    assert HeldOut(0.5, raw.samples_n, np.array([48, 2])).is_worse_than(raw, tree)
    assert not HeldOut(0.5, raw.samples_n, np.array([50, 2])).is_worse_than(raw, tree)
    nothing = HeldOut.total([], 2)
    assert nothing.loss == 0 and not nothing.is_worse_than(nothing, tree)
