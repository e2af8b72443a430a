"""The tree: category numbers, parents across levels that are not refined, children."""

from __future__ import annotations

from typing import Any

import numpy as np

from prodrec.eval.refine.tree import Tree


def test_categories_are_numbered_level_by_level(draw: Any) -> None:
    drawn = draw(depth=4)
    tree = drawn.tree
    assert tree.n == 21 and tree.depth == 4 and tree.starts_L1.tolist() == [0, 2, 6, 12, 21]
    assert tree.level_of(np.array([0, 1, 2, 11, 12, 20])).tolist() == [0, 0, 1, 2, 3, 3]
    assert (tree.parent_n[:2] == -1).all()
    for j in range(1, 4):
        start, above = tree.starts_L1[j], tree.starts_L1[j - 1]
        assert (tree.parent_n[start : tree.starts_L1[j + 1]] - above).tolist() == drawn.taxonomy.parents[j].tolist()


def test_a_level_that_is_not_refined_is_skipped(draw: Any) -> None:
    taxonomy = draw(depth=4).taxonomy
    tree = Tree.from_taxonomy(taxonomy, ["level 0", "level 3"])
    assert tree.n == 11
    assert tree.parent_n[2:].tolist() == taxonomy.ancestors()[:, 0].tolist()


def test_children_are_the_inverse_of_parents(draw: Any) -> None:
    tree = draw(depth=4).tree
    bounds, children = tree.children()
    for c in range(tree.n):
        assert children[bounds[c] : bounds[c + 1]].tolist() == np.flatnonzero(tree.parent_n == c).tolist()
