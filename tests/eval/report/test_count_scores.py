"""Counting of all populations in one pass: the same for every chunk size, and in constant memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.class_counts import PopulationCounts, SplitCounts
from prodrec.eval.report.count_scores import count_scores

EVERYTHING: dict[str, Any] = {"attributes": ["colour/tone"], "tree_measures": True, "pairs": [((0,), (1,))]}


def as_lists(counts: SplitCounts) -> Any:
    """Return all counts as lists."""

    def lists(arrays: Any) -> Any:
        return {key: array.tolist() for key, array in arrays.items()}

    def population_lists(population: PopulationCounts) -> Any:
        return (
            [(file.images_C.tolist(), lists(file.correct)) for file in population.files],
            {pair: (lists(counts.better), lists(counts.worse)) for pair, counts in population.pairs.items()},
        )

    return (
        population_lists(counts.all_rows),
        {key: population_lists(population) for key, population in counts.attributes.items()},
        [lists(histograms) for histograms in counts.tree_histograms],
        {pair: lists(joint) for pair, joint in counts.tree_pairs.items()},
    )


def test_the_chunk_size_does_not_matter(draw_scores: Any) -> None:
    drawn = [draw_scores(name, seed=i, scored=("root", "leaf"), score_attributes=True) for i, name in enumerate("ab")]
    with open_scores(drawn[0].path) as a, open_scores(drawn[1].path) as b:
        whole = count_scores([a, b], "test", [("leaf", 1), ("root", 1)], **EVERYTHING)
        chunked = count_scores([a, b], "test", [("leaf", 1), ("root", 1)], rows_per_chunk=13, **EVERYTHING)
    assert as_lists(whole) == as_lists(chunked)
    test = drawn[0].split == 1
    labelled = test & (drawn[0].attributes[:, 0] > 0)
    by_state = whole.attributes["colour/tone", "state"].files[0]
    assert by_state.images_C.sum() == labelled.sum()
    best = drawn[0].attribute_scores["colour/tone"].argmax(axis=1) + 1
    correct = by_state.correct["colour/tone", 1]
    assert correct.sum() == (best == drawn[0].attributes[:, 0])[labelled].sum()
    assert whole.tree_pairs[0, 1]["distance"].sum() == whole.tree_histograms[0]["distance"].sum() == test.sum()


def test_other_rows_are_paired_in_no_population(draw_scores: Any) -> None:
    drawn = [draw_scores("a", score_attributes=True), draw_scores("b", first_row=1, score_attributes=True)]
    with open_scores(drawn[0].path) as a, open_scores(drawn[1].path) as b:
        counts = count_scores([a, b], "test", [("leaf", 1)], **EVERYTHING)
    assert not counts.all_rows.pairs and not counts.tree_pairs
    assert len(counts.attributes) == 2 and not any(part.pairs for part in counts.attributes.values())


@pytest.mark.parametrize("scored", [("root", "leaf"), ("root",)])
def test_memory_does_not_grow_with_the_rows(draw_scores: Any, tmp_path: Path, scored: tuple[str, ...]) -> None:
    def peak(rows: int) -> int:
        out = tmp_path / f"{rows}.h5"
        drawn = draw_scores(rows=rows, leaves=30, scored=scored, score_attributes=True, out=out)
        with open_scores(drawn.path) as a, open_scores(drawn.path) as b:
            tracemalloc.start()
            count_scores([a, b], "test", [("leaf", 1), ("root", 1)], rows_per_chunk=500, **EVERYTHING)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    peak(1000)
    assert peak(10_000) < 1.2 * peak(2_000)


def test_tree_measures_follow_the_predicted_classes(draw_scores: Any) -> None:
    drawn = draw_scores(scored=("root", "leaf"), ties=True)
    with open_scores(drawn.path) as scores:
        histograms = count_scores([scores], "test", [("leaf", 1)], tree_measures=True).tree_histograms[0]
    test = drawn.split == 1
    root, leaf = (drawn.scores[level][test].argmax(axis=1) for level in ("root", "leaf"))
    parents, labels = drawn.taxonomy.parents[1], drawn.labels[test]
    assert histograms["leaf outside root"][1] == (parents[leaf] != root).sum()
    assert histograms["full path right"][1] == ((leaf == labels[:, 1]) & (root == labels[:, 0])).sum()
    distance = (leaf != labels[:, 1]).astype(int) + (parents[leaf] != labels[:, 0])
    assert histograms["distance"].tolist() == np.bincount(distance, minlength=3).tolist()
