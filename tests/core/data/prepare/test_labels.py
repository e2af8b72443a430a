from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import factorize
from prodrec.core.data.prepare.labels import build_taxonomy

Pair = tuple[str, str, str, int, bool]
"""level, class, parent, rows, chosen"""


def build(paths: list[tuple[str, ...]]) -> tuple[Taxonomy, list[tuple[str, ...]], list[Pair]]:
    """Return the tree, the path of every row in it, and the pairs of classes under several parents."""
    levels = ("root", "middle", "leaf")[-len(paths[0]) :]
    encoded = [factorize(pl.Series(names)) for names in zip(*paths, strict=True)]
    codes = np.stack([codes for _, codes in encoded], axis=1)
    labelled = build_taxonomy(levels, [names for names, _ in encoded], codes)
    taxonomy, labels = labelled.taxonomy, labelled.labels_NL
    pairs = [
        (level.level, *pair)
        for level in labelled.ambiguous_parents
        for pair in zip(level.classes_P, level.parents_P, level.rows_P.tolist(), level.chosen_P.tolist(), strict=True)
    ]
    new_paths = [tuple(taxonomy.names[i][c] for i, c in enumerate(row)) for row in labels]
    assert labelled.rows_moved == sum(old != new for old, new in zip(paths, new_paths, strict=True))
    assert labels.dtype == np.int32 and labels.shape == (len(paths), len(levels))
    assert np.array_equal(labels, taxonomy.ancestors()[labels[:, -1]])
    return taxonomy, [taxonomy.path(leaf) for leaf in labels[:, -1]], pairs


def test_unambiguous_tree() -> None:
    paths = [("A", "x", "1"), ("B", "y", "2"), ("A", "x", "0"), ("A", "z", "3")]
    taxonomy, labelled, pairs = build(paths)
    assert labelled == paths and pairs == []
    assert taxonomy.names == (("A", "B"), ("x", "y", "z"), ("0", "1", "2", "3"))
    assert [p.tolist() for p in taxonomy.parents] == [[-1, -1], [0, 1, 0], [0, 0, 1, 2]]


def test_one_level() -> None:
    taxonomy, labelled, pairs = build([("b",), ("a",), ("b",)])
    assert taxonomy.leaves == ("a", "b") and labelled == [("b",), ("a",), ("b",)] and pairs == []


def test_the_parent_of_the_majority_is_chosen_or_the_first_by_name() -> None:
    taxonomy, labelled, pairs = build(
        [("B", "1"), ("A", "1"), ("B", "1"), ("C", "2"), ("B", "2"), ("A", "3"), ("C", "3")]
    )
    assert labelled[:2] == [("B", "1"), ("B", "1")]
    assert labelled[3:] == [("B", "2"), ("B", "2"), ("A", "3"), ("A", "3")]
    assert pairs == [
        ("leaf", "1", "B", 2, True),
        ("leaf", "1", "A", 1, False),
        ("leaf", "2", "B", 1, True),
        ("leaf", "2", "C", 1, False),
        ("leaf", "3", "A", 1, True),
        ("leaf", "3", "C", 1, False),
    ]
    assert taxonomy.names[0] == ("A", "B")  # C lost its last leaf


def test_ambiguity_at_two_levels() -> None:
    """The middle class has the parent of its own majority; rows follow their leaf through the middle to the root."""
    paths = [("A", "m", "1"), ("A", "m", "1"), ("B", "m", "2"), ("B", "n", "1"), ("B", "n", "3")]
    taxonomy, labelled, pairs = build(paths)
    assert labelled == [("A", "m", "1"), ("A", "m", "1"), ("A", "m", "2"), ("A", "m", "1"), ("B", "n", "3")]
    assert [pair[:3] for pair in pairs] == [
        ("middle", "m", "A"),
        ("middle", "m", "B"),
        ("leaf", "1", "m"),
        ("leaf", "1", "n"),
    ]
    assert taxonomy.names == (("A", "B"), ("m", "n"), ("1", "2", "3"))


def test_names_may_repeat_over_levels() -> None:
    taxonomy, labelled, _ = build([("Bags", "Bags"), ("Socks", "Socks"), ("Bags", "Totes")])
    assert labelled == [("Bags", "Bags"), ("Socks", "Socks"), ("Bags", "Totes")]
    assert taxonomy.names == (("Bags", "Socks"), ("Bags", "Socks", "Totes"))


@pytest.mark.parametrize("seed", range(10))
def test_against_a_simple_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    paths = [("rR"[r], f"m{m}", f"l{leaf}") for r, m, leaf in random.integers(0, [2, 4, 9], (60, 3))]
    _, labelled, _ = build(paths)

    def majority(level: int, name: str) -> str:
        counts = Counter(path[level - 1] for path in paths if path[level] == name)
        return min(counts, key=lambda parent: (-counts[parent], parent))

    for old, new in zip(paths, labelled, strict=True):
        middle = majority(2, old[2])
        assert new == (majority(1, middle), middle, old[2])
