"""The best and worst leaves are ranked by the cautious end of their intervals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prodrec.eval.page.class_ranking import rank_leaves
from prodrec.eval.page.tree import TreeRows
from prodrec.eval.report.evaluate import evaluate_scores


def test_one_unlucky_image_is_not_the_worst_leaf(predicted: Callable[..., Path]) -> None:
    truth = [0] * 20 + [1] + [2] * 20 + [3]
    best = [0] * 4 + [1] * 16 + [0] + [2] * 19 + [0] + [3]
    report = evaluate_scores([predicted("run", truth, {"leaf": best})])
    ranked = rank_leaves(report, TreeRows(report, 1), 0)
    assert [leaf for leaf, _ in ranked["worst"]] == [0, 1]  # 4 of 20 before 0 of 1
    assert [leaf for leaf, _ in ranked["best"]] == [2, 3]  # 19 of 20 before 1 of 1
    assert [leaf for leaf, _ in rank_leaves(report, TreeRows(report, 1), 0, most=1)["worst"]] == [0]
