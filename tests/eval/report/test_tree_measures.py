"""Tree measures of single rows have the values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.tree_measures import (
    DISTANCE,
    FULL_PATH,
    compared_levels,
    conflict_name,
    measure_tree,
    value_counts,
)

TRUTH = [0, 0, 0, 0, 3]
LEAF = [0, 1, 2, 4, 3]  # right; same middle; same root; other root; right
ROOT = [0, 0, 1, 1, 0]
MIDDLE = [0, 1, 1, 2, 2]


def measured(tree: Taxonomy, **best: list[int]) -> dict[str, list[int]]:
    arrays = {level: np.array(classes) for level, classes in best.items()}
    measures = measure_tree(arrays, tree.ancestors()[TRUTH], tree)
    assert all(measures[name].max() < value_counts(tree.levels)[name] for name in measures)
    return {name: values.tolist() for name, values in measures.items()}


def test_all_levels_scored(tree: Taxonomy) -> None:
    assert measured(tree, root=ROOT, middle=MIDDLE, leaf=LEAF) == {
        DISTANCE: [0, 1, 2, 3, 0],
        FULL_PATH: [1, 0, 0, 0, 0],  # the last has a right leaf under a wrong root
        conflict_name("leaf", "root"): [0, 0, 1, 0, 1],
        conflict_name("middle", "root"): [0, 0, 1, 0, 1],
        conflict_name("leaf", "middle"): [0, 1, 0, 0, 0],
    }


def test_levels_without_scores_follow_from_the_leaf(tree: Taxonomy) -> None:
    assert measured(tree, leaf=LEAF) == {DISTANCE: [0, 1, 2, 3, 0], FULL_PATH: [1, 0, 0, 0, 1]}
    two = measured(tree, root=ROOT, leaf=LEAF)
    assert two[FULL_PATH] == [1, 0, 0, 0, 0] and two[conflict_name("leaf", "root")] == [0, 0, 1, 0, 1]
    assert conflict_name("middle", "root") not in two


def test_without_leaves_only_conflicts_remain(tree: Taxonomy) -> None:
    assert measured(tree, root=ROOT, middle=MIDDLE) == {conflict_name("middle", "root"): [0, 0, 1, 0, 1]}
    assert measured(tree, root=ROOT) == {}


@pytest.mark.parametrize(
    ("levels", "pairs"),
    [
        (("leaf",), []),
        (("root", "leaf"), [("leaf", "root")]),
        (("r", "m", "l"), [("l", "r"), ("m", "r"), ("l", "m")]),
    ],
)
def test_levels_that_are_compared(levels: tuple[str, ...], pairs: list[tuple[str, str]]) -> None:
    assert compared_levels(levels) == pairs
