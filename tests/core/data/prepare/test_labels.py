from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import factorize
from prodrec.core.data.prepare.labels import build_taxonomy

Unclear = tuple[str, str, str, int, bool]


def build(paths: list[tuple[str, ...]]) -> tuple[Taxonomy, list[tuple[str, ...]], list[Unclear]]:
    """The tree, every row's path in it, and the classes under several parents, parent by parent."""
    levels = ("root", "middle", "leaf")[-len(paths[0]) :]
    encoded = [factorize(pl.Series(names)) for names in zip(*paths, strict=True)]
    codes = np.stack([codes for _, codes in encoded], axis=1)
    labelled = build_taxonomy(levels, [names for names, _ in encoded], codes)
    taxonomy, labels = labelled.taxonomy, labelled.labels_NL
    unclear = [
        (of.level, *pair)
        for of in labelled.several_parents
        for pair in zip(of.classes_P, of.parents_P, of.rows_P.tolist(), of.taken_P.tolist(), strict=True)
    ]
    own = [tuple(taxonomy.names[i][c] for i, c in enumerate(row)) for row in labels]
    assert labelled.rows_moved == sum(path != found for path, found in zip(paths, own, strict=True))
    assert labels.dtype == np.int32 and labels.shape == (len(paths), len(levels))
    assert np.array_equal(labels, taxonomy.ancestors()[labels[:, -1]])
    return taxonomy, [taxonomy.path(leaf) for leaf in labels[:, -1]], unclear


def test_a_plain_tree() -> None:
    paths = [("A", "x", "1"), ("B", "y", "2"), ("A", "x", "0"), ("A", "z", "3")]
    taxonomy, labelled, unclear = build(paths)
    assert labelled == paths and unclear == []
    assert taxonomy.names == (("A", "B"), ("x", "y", "z"), ("0", "1", "2", "3"))
    assert [p.tolist() for p in taxonomy.parents] == [[-1, -1], [0, 1, 0], [0, 0, 1, 2]]


def test_one_level() -> None:
    taxonomy, labelled, unclear = build([("b",), ("a",), ("b",)])
    assert taxonomy.leaves == ("a", "b") and labelled == [("b",), ("a",), ("b",)] and unclear == []


def test_the_majority_wins_and_the_first_name_where_two_are_equal() -> None:
    taxonomy, labelled, unclear = build(
        [("B", "1"), ("A", "1"), ("B", "1"), ("C", "2"), ("B", "2"), ("A", "3"), ("C", "3")]
    )
    assert labelled[:2] == [("B", "1"), ("B", "1")]
    assert labelled[3:] == [("B", "2"), ("B", "2"), ("A", "3"), ("A", "3")]
    assert unclear == [
        ("leaf", "1", "B", 2, True),
        ("leaf", "1", "A", 1, False),
        ("leaf", "2", "B", 1, True),
        ("leaf", "2", "C", 1, False),
        ("leaf", "3", "A", 1, True),
        ("leaf", "3", "C", 1, False),
    ]
    assert taxonomy.names[0] == ("A", "B")  # C lost its last leaf


def test_parents_of_parents() -> None:
    """The middle class goes to its own majority; rows follow their leaf through the middle to the root."""
    paths = [("A", "m", "1"), ("A", "m", "1"), ("B", "m", "2"), ("B", "n", "1"), ("B", "n", "3")]
    taxonomy, labelled, unclear = build(paths)
    assert labelled == [("A", "m", "1"), ("A", "m", "1"), ("A", "m", "2"), ("A", "m", "1"), ("B", "n", "3")]
    assert [pair[:3] for pair in unclear] == [
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
def test_against_counting_by_hand(seed: int) -> None:
    random = np.random.default_rng(seed)
    paths = [("rR"[r], f"m{m}", f"l{leaf}") for r, m, leaf in random.integers(0, [2, 4, 9], (60, 3))]
    _, labelled, _ = build(paths)

    def majority(of: int, name: str) -> str:
        counts = Counter(path[of - 1] for path in paths if path[of] == name)
        return min(counts, key=lambda parent: (-counts[parent], parent))

    for path, found in zip(paths, labelled, strict=True):
        middle = majority(2, path[2])
        assert found == (majority(1, middle), middle, path[2])
