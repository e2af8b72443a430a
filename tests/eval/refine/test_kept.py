"""Rows of which only the best scores are kept: equal to the formulas on what absent scores are read as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine import kept
from prodrec.eval.refine.kept import KeptRows, kept_scores, level_losses, related_loss, relative, seen_together
from prodrec.eval.refine.weights import Weights


def keep(drawn: Any, k: int) -> tuple[KeptRows, Any, Any]:
    """The k best of every level; and the same written out: relative scores N×n (0 if absent), which are there."""
    tree = drawn.tree
    categories, scores = [], []
    spread, shown = np.zeros(drawn.f_Nn.shape), np.zeros(drawn.f_Nn.shape, dtype=bool)
    for at in range(tree.depth):
        start, end = tree.starts_L1[at], tree.starts_L1[at + 1]
        level = drawn.f_Nn[:, start:end]
        best = np.argsort(-level, axis=1)[:, : min(k, end - start)]
        values = np.take_along_axis(level, best, axis=1)
        categories.append((best + start).astype(np.int32))
        scores.append(relative(values.astype(np.float32)))
        for row in range(len(level)):
            shown[row, best[row] + start] = True
            spread[row, best[row] + start] = scores[-1][row]
    return KeptRows(tree, tuple(categories), tuple(scores), drawn.labels_NL, drawn.fold_N), spread, shown


@pytest.mark.parametrize("normaliser", ["level", "related"])
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("k", [1, 3, "everything"])
def test_loss_gradient_and_scores_are_those_of_the_formula(
    draw: Any, reference: Any, normaliser: str, depth: int, k: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "BYTES_OF_SCRATCH", 4 * 21 * 7)  # several pieces
    drawn = draw(depth=depth)
    rows, spread, shown = keep(drawn, 4)
    pattern = drawn.pattern(k)
    told = reference(pattern, normaliser, shown)
    values = np.random.default_rng(3).normal(size=pattern.size) * 0.3 + pattern.identity()
    w_nn = told.spread(values)
    wanted, wanted_nn = told.loss(w_nn, spread, drawn.labels_NL)
    if normaliser == "level":
        loss, gradient = 0.0, np.zeros(pattern.size)
        for part, piece in level_losses(rows, pattern):
            value, gradient[part] = piece.evaluate(values[part], np.float64)
            loss += value
    else:
        loss, gradient = related_loss(rows, pattern).evaluate(values, np.float64)
    assert loss == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_allclose(told.spread(gradient), wanted_nn, atol=1e-8)
    refined = kept_scores(rows, pattern, values, normaliser)
    all_refined = told.refined(w_nn, spread)
    for which, found in zip(rows.categories, refined, strict=True):
        np.testing.assert_allclose(found, np.take_along_axis(all_refined, which.astype(int), axis=1), atol=1e-5)


def test_gradient_by_finite_differences(draw: Any) -> None:
    drawn = draw(depth=3)
    rows, _, _ = keep(drawn, 4)
    pattern, random = drawn.pattern(3), np.random.default_rng(4)
    loss = related_loss(rows, pattern)
    values = random.normal(size=pattern.size)
    _, gradient = loss.evaluate(values, np.float64)
    for at in random.integers(0, pattern.size, 20):
        step = np.zeros(pattern.size)
        step[at] = 1e-5
        slope = (loss.evaluate(values + step, np.float64)[0] - loss.evaluate(values - step, np.float64)[0]) / 2e-5
        assert gradient[at] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_identity_leaves_the_order_of_the_kept(draw: Any) -> None:
    drawn = draw(depth=2)
    rows, _, _ = keep(drawn, 4)
    pattern = drawn.pattern(3)
    for mine, raw in zip(
        Weights(pattern, pattern.identity(), "level", True).refine_kept(rows), rows.scores, strict=True
    ):
        np.testing.assert_array_equal(mine, raw)


def test_candidates_are_what_scores_high_in_the_rows_of_a_category(draw: Any) -> None:
    drawn = draw(depth=3, rows=60)
    rows, spread, _ = keep(drawn, 4)
    found, tree = seen_together(rows, 2), drawn.tree
    for c in range(tree.n):
        level = int(tree.level_of(np.array(c)))
        beside = spread[drawn.labels_NL[:, level] == c].sum(axis=0)
        wanted, above = {c}, int(tree.parent_n[c])
        while above >= 0:
            wanted.add(above)
            above = int(tree.parent_n[above])
        for at in range(tree.depth):
            part = np.arange(tree.starts_L1[at], tree.starts_L1[at + 1])
            best = part[np.lexsort((part, -beside[part]))][:2]
            wanted |= {int(s) for s in best if beside[s] > 0}
        mine = set(found.columns_P[found.bounds_n1[c] : found.bounds_n1[c + 1]].tolist())
        assert mine >= wanted and len(mine - wanted) <= 1  # one whose sum is 0 may fill a place


def test_rows_whose_true_category_was_not_kept_say_nothing(draw: Any) -> None:
    drawn = draw(depth=1)
    rows, _, shown = keep(drawn, 1)
    lost = ~shown[np.arange(24), drawn.labels_NL[:, 0]]
    assert lost.any() and not lost.all()
    pattern = drawn.pattern("everything")
    values = np.random.default_rng(0).normal(size=pattern.size)
    whole, some = (level_losses(part, pattern)[0][1].evaluate(values, np.float64) for part in (rows, rows.take(~lost)))
    assert whole[0] == some[0] and (whole[1] == some[1]).all()
    nothing = level_losses(rows.take(lost), pattern)[0][1].evaluate(values, np.float64)
    assert nothing[0] == 0 and not nothing[1].any()
