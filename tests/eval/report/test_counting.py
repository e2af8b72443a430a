"""Counting all populations in one pass: in pieces as at once, and at constant memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.counting import Counted, count

EVERYTHING: dict[str, Any] = {"attributes": ["colour/tone"], "hierarchy": True, "pairs": [(0, 1)]}


def plain(counted: Counted) -> Any:
    """All counts as lists."""

    def lists(counts: Any) -> Any:
        return {key: value.tolist() for key, value in counts.items()}

    return (
        [(tally.images.tolist(), lists(tally.right)) for tally in counted.tallies],
        {pair: (lists(tally.better), lists(tally.worse)) for pair, tally in counted.pairs.items()},
        {key: plain(part) for key, part in counted.attributes.items()},
        [lists(histograms) for histograms in counted.facts],
        {pair: lists(joint) for pair, joint in counted.joint.items()},
    )


def test_pieces_do_not_matter(draw_scores: Any) -> None:
    drawn = [draw_scores(name, seed=i, scored=("root", "leaf"), score_attributes=True) for i, name in enumerate("ab")]
    with open_scores(drawn[0].path) as a, open_scores(drawn[1].path) as b:
        whole = count([a, b], "test", [("leaf", 1), ("root", 1)], **EVERYTHING)
        cut = count([a, b], "test", [("leaf", 1), ("root", 1)], rows=13, **EVERYTHING)
    assert plain(whole) == plain(cut)
    test = drawn[0].split == 1
    has = test & (drawn[0].attributes[:, 0] > 0)
    by_state = whole.attributes["colour/tone", "state"].tallies[0]
    assert by_state.images.sum() == has.sum()
    best = drawn[0].attribute_scores["colour/tone"].argmax(axis=1) + 1
    right = by_state.right["colour/tone", 1]
    assert right.sum() == (best == drawn[0].attributes[:, 0])[has].sum()
    assert whole.joint[0, 1]["distance"].sum() == whole.facts[0]["distance"].sum() == test.sum()


def test_other_rows_are_paired_in_no_population(draw_scores: Any) -> None:
    drawn = [draw_scores("a", score_attributes=True), draw_scores("b", first_row=1, score_attributes=True)]
    with open_scores(drawn[0].path) as a, open_scores(drawn[1].path) as b:
        counted = count([a, b], "test", [("leaf", 1)], **EVERYTHING)
    assert not counted.pairs and not counted.joint
    assert len(counted.attributes) == 2 and not any(part.pairs for part in counted.attributes.values())


@pytest.mark.parametrize("scored", [("root", "leaf"), ("root",)])
def test_memory_does_not_grow_with_the_rows(draw_scores: Any, tmp_path: Path, scored: tuple[str, ...]) -> None:
    def peak(rows: int) -> int:
        out = tmp_path / f"{rows}.h5"
        drawn = draw_scores(rows=rows, leaves=30, scored=scored, score_attributes=True, out=out)
        with open_scores(drawn.path) as a, open_scores(drawn.path) as b:
            tracemalloc.start()
            count([a, b], "test", [("leaf", 1), ("root", 1)], rows=500, **EVERYTHING)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    peak(1000)
    assert peak(10_000) < 1.2 * peak(2_000)


def test_facts_follow_the_best_classes(draw_scores: Any) -> None:
    drawn = draw_scores(scored=("root", "leaf"), ties=True)
    with open_scores(drawn.path) as scores:
        facts = count([scores], "test", [("leaf", 1)], hierarchy=True).facts[0]
    test = drawn.split == 1
    root, leaf = (drawn.scores[level][test].argmax(axis=1) for level in ("root", "leaf"))
    parents, labels = drawn.taxonomy.parents[1], drawn.labels[test]
    assert facts["leaf outside root"][1] == (parents[leaf] != root).sum()
    assert facts["full path right"][1] == ((leaf == labels[:, 1]) & (root == labels[:, 0])).sum()
    distance = (leaf != labels[:, 1]).astype(int) + (parents[leaf] != labels[:, 0])
    assert facts["distance"].tolist() == np.bincount(distance, minlength=3).tolist()
