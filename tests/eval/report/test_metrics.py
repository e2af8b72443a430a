"""Counting against written-out loops on random data with ties, and in pieces at constant memory."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.counting import count
from prodrec.eval.report.metrics import Under, rank, rank_above, rank_kept, sum_leaves

QUESTIONS = [("leaf", 1), ("leaf", 3), ("leaf", 5), ("root", 1), ("root", 2)]


def slow_rank(scores: Any, label: int) -> int:
    """Classes sorted by falling score, then by index; the place of the true one."""
    order = sorted(range(len(scores)), key=lambda c: (-float(scores[c]), c))
    return order.index(label)


def slow_sums(scores: Any, above: Any, classes: int) -> list[float]:
    sums = []
    for c in range(classes):
        under = [float(s) for s, a in zip(scores, above, strict=True) if a == c]
        top = max(under, default=-math.inf)
        sums.append(top + math.log(sum(math.exp(s - top) for s in under)) if under else -math.inf)
    return sums


@pytest.mark.parametrize("seed", range(5))
def test_rank_equals_the_written_out_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 4, size=(40, 9)).astype(np.float32)  # many ties
    labels = random.integers(0, 9, size=40)
    assert rank(scores, labels).tolist() == [slow_rank(s, y) for s, y in zip(scores, labels, strict=True)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kept", [1, 4, 9])
def test_rank_among_kept_leaves(seed: int, kept: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 4, size=(40, 9)).astype(np.float32)
    labels = random.integers(0, 9, size=40)
    classes = np.argsort(-scores, axis=1, kind="stable")[:, :kept].astype(np.int32)
    best = np.take_along_axis(scores, classes, axis=1)
    expected = [min(kept, slow_rank(s, y)) for s, y in zip(scores, labels, strict=True)]
    assert rank_kept(best, classes, labels).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kept", [1, 4, 9])
def test_rank_of_a_level_above_the_kept_leaves(seed: int, kept: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(40, 9)).astype(np.float32)
    above = np.array([0, 0, 1, 3, 3, 3, 1, 0, 4], dtype=np.int32)  # class 2 has no leaves
    labels = above[random.integers(0, 9, size=40)].astype(np.int64)
    classes = np.argsort(-scores, axis=1)[:, :kept]
    best = np.take_along_axis(scores, classes, axis=1)
    expected = []
    for row, which, label in zip(best, classes, labels, strict=True):
        sums = slow_sums(row, above[which], 5)
        expected.append(slow_rank(sums, label) if label in above[which] else kept)
    assert rank_above(best, above[classes], labels).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [1, 800])
def test_sums_over_the_leaves_under_a_class(seed: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    scores = (random.normal(size=(20, 9)) * spread).astype(np.float32)
    above = random.integers(0, 4, size=9).astype(np.int32)
    above[above == 2] = 3  # a class without leaves
    expected = [slow_sums(s, above, 4) for s in scores]
    np.testing.assert_allclose(sum_leaves(scores, Under.of(above), 4), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scored", [("leaf",), ("root", "leaf")])
def test_count_equals_the_written_out_loop(draw_scores: Any, seed: int, scored: tuple[str, ...]) -> None:
    # equal sums of exponentials are not equal in floating point, so ties only where scores are compared as they stand
    drawn = draw_scores(seed=seed, labels_seed=seed, scored=scored, right=1.0, ties="root" in scored)
    parents = drawn.taxonomy.parents[1]
    images = dict.fromkeys(range(12), 0)
    right = {q: dict.fromkeys(range(12), 0) for q in QUESTIONS}
    for i in np.flatnonzero(drawn.split == 1):
        root, leaf = drawn.labels[i]
        images[leaf] += 1
        leaf_scores = drawn.scores["leaf"][i]
        root_scores = drawn.scores["root"][i] if "root" in scored else slow_sums(leaf_scores, parents, 3)
        for level, k in QUESTIONS:
            place = slow_rank(leaf_scores, leaf) if level == "leaf" else slow_rank(root_scores, root)
            right[level, k][leaf] += place < k
    with open_scores(drawn.path) as scores:
        tally = count([scores], "test", QUESTIONS, rows=17).tallies[0]
    assert tally.images.tolist() == list(images.values())
    for question in QUESTIONS:
        assert tally.right[question].tolist() == list(right[question].values()), question


@pytest.mark.parametrize("scored", [("leaf",), ("root", "leaf")])
def test_top_k_file_counts_as_the_dense_one(draw_scores: Any, scored: tuple[str, ...]) -> None:
    questions = QUESTIONS if "root" in scored else QUESTIONS[:3]
    tallies = []
    for name, top_k in (("dense", None), ("kept", 5), ("all", 12)):
        drawn = draw_scores(name, top_k=top_k, scored=scored)
        with open_scores(drawn.path) as scores:
            tallies.append(count([scores], "test", QUESTIONS).tallies[0])
    for question in questions:
        assert tallies[0].right[question].tolist() == tallies[1].right[question].tolist()
    for question in QUESTIONS:  # nothing is absent where all classes are kept
        assert tallies[0].right[question].tolist() == tallies[2].right[question].tolist()


def test_pairs_equal_the_written_out_loop(draw_scores: Any) -> None:
    a, b = draw_scores("a", seed=1), draw_scores("b", seed=2)
    better, worse = np.zeros(12, dtype=int), np.zeros(12, dtype=int)
    for i in np.flatnonzero(a.split == 1):
        leaf = a.labels[i, 1]
        first = slow_rank(a.scores["leaf"][i], leaf) < 3
        second = slow_rank(b.scores["leaf"][i], leaf) < 3
        better[leaf] += second and not first
        worse[leaf] += first and not second
    with open_scores(a.path) as one, open_scores(b.path) as two:
        counted = count([one, two], "test", [("leaf", 3)], pairs=[(0, 1)], rows=23)
    assert counted.pairs[0, 1].better["leaf", 3].tolist() == better.tolist()
    assert counted.pairs[0, 1].worse["leaf", 3].tolist() == worse.tolist()
    assert better.sum() and worse.sum()


@pytest.mark.parametrize("rows", [None, 10])
def test_other_rows_are_not_paired_but_counted(draw_scores: Any, rows: int | None) -> None:
    files = [
        draw_scores("same 1", seed=1),
        draw_scores("same 2", seed=2),
        draw_scores("longer", seed=3, rows=200, first_row=1),
        draw_scores("shorter", seed=4, rows=90),
    ]
    opened = [open_scores(drawn.path) for drawn in files]
    together = count(opened, "test", QUESTIONS, pairs=[(0, 1), (0, 2), (0, 3)], rows=rows)
    assert set(together.pairs) == {(0, 1)}
    for scores, tally in zip(opened, together.tallies, strict=True):
        alone = count([scores], "test", QUESTIONS).tallies[0]
        assert tally.images.tolist() == alone.images.tolist()
        assert all(tally.right[q].tolist() == alone.right[q].tolist() for q in QUESTIONS)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_files_that_end_together_stay_paired(draw_scores: Any, order: tuple[int, ...]) -> None:
    drawn = [draw_scores("a", rows=64), draw_scores("b", rows=64, seed=5), draw_scores("c", rows=200)]
    opened = [open_scores(drawn[i].path) for i in order]
    pair = (order.index(0), order.index(1))
    counted = count(opened, "test", QUESTIONS, pairs=[pair])
    # pairs are in step with the first file of all
    assert (pair in counted.pairs) == (order[0] != 2)


def test_files_with_other_splits_are_still_paired(draw_scores: Any, tmp_path: Path) -> None:
    """One file holds test rows alone, the other test and validation: their test rows are the same."""
    from prodrec.core.scores.schema import Origin
    from prodrec.core.scores.writer import ScoresWriter

    both = draw_scores("both")
    keep = np.flatnonzero(both.split == 1)
    with ScoresWriter(
        tmp_path / "test.h5",
        origin=Origin(run="t", family="visual", made_from={}, splits=("test",)),
        taxonomy=both.taxonomy,
        train_images=both.train_images,
        id_bytes=12,
    ) as writer:
        writer.append(
            ids=[f"产品{row}" for row in both.rows[keep]],
            rows_B=both.rows[keep],
            split_B=both.split[keep],
            labels_BL=both.labels[keep],
            features_BD=both.features[keep],
            scores={"leaf": both.scores["leaf"][keep]},
        )
    with open_scores(both.path) as one, open_scores(tmp_path / "test.h5") as two:
        counted = count([one, two], "test", QUESTIONS, pairs=[(0, 1)], rows=13)
    assert not counted.pairs[0, 1].better["leaf", 1].any() and not counted.pairs[0, 1].worse["leaf", 1].any()


@pytest.mark.parametrize("top_k", [None, 3])
def test_file_without_leaf_scores_answers_what_it_can(draw_scores: Any, top_k: int | None) -> None:
    with open_scores(draw_scores("both", scored=("root", "leaf")).path) as scores:
        both = count([scores], "test", QUESTIONS).tallies[0]
    with open_scores(draw_scores("root", scored=("root",), top_k=top_k).path) as scores:
        root = count([scores], "test", QUESTIONS).tallies[0]
    assert root.images.tolist() == both.images.tolist()
    assert set(root.right) == {("root", 1), ("root", 2)}
    assert all(root.right[question].tolist() == both.right[question].tolist() for question in root.right)


def test_memory_does_not_grow_with_the_rows(draw_scores: Any, tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        drawn = draw_scores(rows=rows, leaves=30, out=tmp_path / f"{rows}.h5")
        with open_scores(drawn.path) as a, open_scores(drawn.path) as b:
            tracemalloc.start()
            count([a, b], "test", QUESTIONS, pairs=[(0, 1)], rows=500)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    peak(1000)
    assert peak(10_000) < 1.2 * peak(2_000)
