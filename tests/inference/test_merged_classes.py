"""Classes of a run and of a dataset that has others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.scores.reader import open_scores
from prodrec.inference.merged_classes import merge_classes
from prodrec.inference.neighbours.operating_points import PLAIN_POINT
from prodrec.inference.score import score

from .conftest import TREE, SineNetwork, batches, expected, make_dataset, make_run


def tree(names: Any, leaves: Any, parents: Any) -> Taxonomy:
    roots = np.full(len(names), -1, np.int32)
    return Taxonomy(TREE.levels, (names, leaves), (roots, np.array(parents, np.int32)))


NEW = tree(("a", "b", "c"), ("r", "s", "p", "t"), (1, 0, 0, 2))
"""TREE is a: p; b: q, r. Here q is gone, s and t are new, and everything has another place."""


def test_the_dataset_comes_first_and_then_what_only_the_run_has() -> None:
    merged = merge_classes(TREE, NEW)
    assert merged is not None and merge_classes(TREE, TREE) is None
    assert list(merged.taxonomy.names[0]) == ["a", "b", "c"]
    assert list(merged.taxonomy.leaves) == ["r", "s", "p", "t", "q"]
    assert merged.taxonomy.parents[1].tolist() == [1, 0, 0, 2, 1]
    assert {level: place.tolist() for level, place in merged.place_C.items()} == {"root": [0, 1], "leaf": [2, 4, 0]}
    assert merged.count_images(np.array([5, 6, 7])).tolist() == [7, 0, 5, 0, 6]
    assert merged.renumber("leaf", np.array([[0, 2], [1, 0]])).tolist() == [[2, 0], [4, 2]]
    spread = merged.spread("leaf", np.array([[1.0, 3.0, 2.0]], np.float32))
    assert spread.tolist() == [[2.0, -9.0, 1.0, -9.0, 3.0]] and spread.dtype == np.float32


def test_a_class_that_moved_is_another_class() -> None:
    merged = merge_classes(TREE, tree(("a", "b"), ("p", "q", "r"), (0, 0, 1)))
    assert merged is not None
    assert list(merged.taxonomy.leaves) == ["p", "q", "r", "q (b)"] and merged.taxonomy.parents[1][3] == 1
    taken = merge_classes(TREE, tree(("a", "b"), ("p", "q", "q (b)", "r"), (0, 0, 0, 1)))
    assert taken is not None and taken.taxonomy.leaves[4] == "q (b) (b)"


def test_an_upper_class_that_only_the_run_has_keeps_its_leaves() -> None:
    merged = merge_classes(TREE, tree(("a",), ("p",), (0,)))
    assert merged is not None and list(merged.taxonomy.names[0]) == ["a", "b"]
    assert list(merged.taxonomy.leaves) == ["p", "q", "r"] and merged.taxonomy.parents[1].tolist() == [0, 1, 1]


def test_the_note_names_unknown_classes_of_these_photos() -> None:
    merged = merge_classes(TREE, NEW)
    assert merged is not None
    labels = np.array([[0, 1], [2, 3], [2, 3], [1, 0], [2, -1]])
    assert merged.note(labels) == (
        "the run does not know c of level root (3 photos); t, s of level leaf (3 photos): these photos count as wrong."
    )
    assert merged.note(labels[3:4]).startswith("the run knows the classes of all scored photos")


@pytest.mark.parametrize("top_k", [None, 2, 3])
def test_scores_of_a_dataset_with_other_classes(tmp_path: Path, top_k: int | None) -> None:
    run, data = make_run(), make_dataset(fingerprint="d2", taxonomy=NEW)
    leaf_N = np.arange(20) % 4
    data.labels_NL = np.stack([NEW.parents[1][leaf_N], leaf_N], axis=1).astype(np.int32)
    merged = merge_classes(run.taxonomy, data.taxonomy)
    options: Any = {"outputs": {tmp_path / "s.h5": PLAIN_POINT}, "splits": ("test",), "top_k": top_k, "merged": merged}
    score(run, data, SineNetwork(), batches(data, ("test",)), **options)
    with open_scores(tmp_path / "s.h5") as scores:
        chunk = next(scores.chunks())
        assert list(scores.taxonomy.leaves) == ["r", "s", "p", "t", "q"]
        assert scores.train_images.tolist() == [7, 0, 5, 0, 6]
    assert chunk.labels_RL.tolist() == data.labels_NL[chunk.rows_R].tolist()
    best = np.array([2, 4, 0])[expected(chunk.rows_R).argmax(1)]
    if top_k is None:
        assert chunk.scores["leaf"].argmax(1).tolist() == best.tolist()
        unknown = chunk.scores["leaf"][:, [1, 3]]
        assert (unknown < chunk.scores["leaf"][:, [0, 2, 4]].min(1, keepdims=True) - 9).all()
    else:
        assert chunk.classes is not None and chunk.classes["leaf"][:, 0].tolist() == best.tolist()
        assert not np.isin(chunk.classes["leaf"], [1, 3]).any()
