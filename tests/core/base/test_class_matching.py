"""Classes of one tree in another: by the names of their paths."""

from __future__ import annotations

import numpy as np

from prodrec.core.base.class_matching import match_classes
from prodrec.core.base.taxonomy import Taxonomy


def tree(parents: dict[str, str]) -> Taxonomy:
    """Return a tree of roots and leaves, both sorted by name, from the root of every leaf."""
    roots = sorted(set(parents.values()))
    leaves = sorted(parents)
    return Taxonomy(
        levels=("root", "leaf"),
        names=(roots, leaves),  # type: ignore[arg-type]
        parents=(
            np.full(len(roots), -1, np.int32),
            np.array([roots.index(parents[leaf]) for leaf in leaves], np.int32),
        ),
    )


def test_classes_are_matched_by_their_paths() -> None:
    here = tree({"boots": "shoes", "mugs": "kitchen", "vests": "tops"})
    there = tree({"a": "bags", "boots": "shoes", "mugs": "bags", "pans": "kitchen", "z": "shoes"})
    roots, leaves = match_classes(here, there)
    assert [there.names[0][i] for i in roots[:2]] == ["kitchen", "shoes"] and roots[2] == -1  # tops
    assert there.leaves[int(leaves[0])] == "boots"
    assert leaves[1:].tolist() == [-1, -1]  # mugs are below another root, and vests do not exist


def test_a_tree_matches_itself() -> None:
    here = tree({"boots": "shoes", "mugs": "kitchen"})
    assert [index_C.tolist() for index_C in match_classes(here, here)] == [[0, 1], [0, 1]]
