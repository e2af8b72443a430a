"""Counts equal plain loops on random scores with ties, in any chunks and in constant memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.report.count_scores import count_scores

CRITERIA = [("leaf", 1), ("leaf", 3), ("leaf", 5), ("root", 1), ("root", 2)]


ENDS = 12 + 3
"""Leaves and roots, at which a category path may end."""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("early", [0.0, 0.3])
@pytest.mark.parametrize("scored", [("leaf",), ("root", "leaf")])
def test_counts_equal_the_loop(
    draw_scores: Any, slow_position: Any, slow_sums: Any, seed: int, early: float, scored: tuple[str, ...]
) -> None:
    # Equal sums of exponentials may differ in floating point: ties are drawn only if no scores are summed.
    drawn = draw_scores(seed=seed, labels_seed=seed, scored=scored, right=1.0, ties="root" in scored, early=early)
    parents = drawn.taxonomy.parents[1]
    images = dict.fromkeys(range(ENDS), 0)
    correct = {q: dict.fromkeys(range(ENDS), 0) for q in CRITERIA}
    for i in np.flatnonzero(drawn.split == 1):
        root, leaf = drawn.labels[i]
        end = leaf if leaf >= 0 else 12 + root
        images[end] += 1
        leaf_scores = drawn.scores["leaf"][i]
        root_scores = drawn.scores["root"][i] if "root" in scored else slow_sums(leaf_scores, parents, 3)
        for level, k in CRITERIA:
            if level == "leaf" and leaf < 0:
                continue
            position = slow_position(leaf_scores, leaf) if level == "leaf" else slow_position(root_scores, root)
            correct[level, k][end] += position < k
    with open_scores(drawn.path) as scores:
        counts = count_scores([scores], "test", CRITERIA, rows_per_chunk=17).all_rows.files[0]
    assert counts.images_C.tolist() == list(images.values())
    for criterion in CRITERIA:
        assert counts.correct[criterion].tolist() == list(correct[criterion].values()), criterion


@pytest.mark.parametrize("early", [0.0, 0.3])
@pytest.mark.parametrize("scored", [("leaf",), ("root", "leaf")])
def test_top_k_file_counts_as_the_dense_one(draw_scores: Any, scored: tuple[str, ...], early: float) -> None:
    criteria = CRITERIA if "root" in scored else CRITERIA[:3]
    counts = []
    for name, top_k in (("dense", None), ("kept", 5), ("all", 12)):
        drawn = draw_scores(name, top_k=top_k, scored=scored, early=early)
        with open_scores(drawn.path) as scores:
            counts.append(count_scores([scores], "test", CRITERIA).all_rows.files[0])
    for criterion in criteria:
        assert counts[0].correct[criterion].tolist() == counts[1].correct[criterion].tolist()
    for criterion in CRITERIA:  # a top-k file with all classes lacks nothing
        assert counts[0].correct[criterion].tolist() == counts[2].correct[criterion].tolist()


def test_pairs_equal_the_loop(draw_scores: Any, slow_position: Any) -> None:
    a, b = draw_scores("a", seed=1), draw_scores("b", seed=2)
    better, worse = np.zeros(ENDS, dtype=int), np.zeros(ENDS, dtype=int)
    for i in np.flatnonzero(a.split == 1):
        leaf = a.labels[i, 1]
        first = slow_position(a.scores["leaf"][i], leaf) < 3
        second = slow_position(b.scores["leaf"][i], leaf) < 3
        better[leaf] += second and not first
        worse[leaf] += first and not second
    with open_scores(a.path) as one, open_scores(b.path) as two:
        counts = count_scores([one, two], "test", [("leaf", 3)], pairs=[((0,), (1,))], rows_per_chunk=23)
    assert counts.all_rows.pairs[(0,), (1,)].better["leaf", 3].tolist() == better.tolist()
    assert counts.all_rows.pairs[(0,), (1,)].worse["leaf", 3].tolist() == worse.tolist()
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
    counts = count_scores(
        opened, "test", CRITERIA, pairs=[((0,), (1,)), ((0,), (2,)), ((0,), (3,))], rows_per_chunk=rows
    )
    assert set(counts.all_rows.pairs) == {((0,), (1,))}
    for scores, file_counts in zip(opened, counts.all_rows.files, strict=True):
        alone = count_scores([scores], "test", CRITERIA).all_rows.files[0]
        assert file_counts.images_C.tolist() == alone.images_C.tolist()
        assert all(file_counts.correct[q].tolist() == alone.correct[q].tolist() for q in CRITERIA)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_files_that_end_together_stay_paired(draw_scores: Any, order: tuple[int, ...]) -> None:
    drawn = [draw_scores("a", rows=64), draw_scores("b", rows=64, seed=5), draw_scores("c", rows=200)]
    opened = [open_scores(drawn[i].path) for i in order]
    pair = ((order.index(0),), (order.index(1),))
    counts = count_scores(opened, "test", CRITERIA, pairs=[pair])
    # a pair is kept if its rows equal those of the first file
    assert (pair in counts.all_rows.pairs) == (order[0] != 2)


def test_columns_of_several_files_are_counted_by_shares(draw_scores: Any) -> None:
    drawn = [draw_scores(str(seed), seed=seed, leaves=12) for seed in range(5)]
    opened = [open_scores(one.path) for one in drawn]
    counts = count_scores(opened, "test", CRITERIA, pairs=[((0, 1), (2, 3, 4))], rows_per_chunk=13)
    pair = counts.all_rows.pairs[(0, 1), (2, 3, 4)]
    test = drawn[0].split == 1
    right = np.array([one.scores["leaf"][test].argmax(1) == one.labels[test, 1] for one in drawn])
    for leaf in range(12):
        own = right[:, drawn[0].labels[test, 1] == leaf]
        d = own[2:].mean(0) - own[:2].mean(0)
        better, worse = pair.better["leaf", 1][leaf], pair.worse["leaf", 1][leaf]
        assert (better + worse, better - worse) == pytest.approx(((d**2).sum(), d.sum()))


def test_files_with_other_splits_are_still_paired(draw_scores: Any, tmp_path: Path) -> None:
    """One file contains test rows only, the other test and validation rows: their test rows are the same."""
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
        counts = count_scores([one, two], "test", CRITERIA, pairs=[((0,), (1,))], rows_per_chunk=13)
    pair = counts.all_rows.pairs[(0,), (1,)]
    assert not pair.better["leaf", 1].any() and not pair.worse["leaf", 1].any()


@pytest.mark.parametrize("top_k", [None, 3])
def test_a_file_without_leaf_scores_has_the_levels_that_it_scored(draw_scores: Any, top_k: int | None) -> None:
    with open_scores(draw_scores("both", scored=("root", "leaf")).path) as scores:
        both = count_scores([scores], "test", CRITERIA).all_rows.files[0]
    with open_scores(draw_scores("root", scored=("root",), top_k=top_k).path) as scores:
        root = count_scores([scores], "test", CRITERIA).all_rows.files[0]
    assert root.images_C.tolist() == both.images_C.tolist()
    assert set(root.correct) == {("root", 1), ("root", 2)}
    assert all(root.correct[criterion].tolist() == both.correct[criterion].tolist() for criterion in root.correct)


def test_memory_does_not_grow_with_the_rows(draw_scores: Any, tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        drawn = draw_scores(rows=rows, leaves=30, out=tmp_path / f"{rows}.h5")
        with open_scores(drawn.path) as a, open_scores(drawn.path) as b:
            tracemalloc.start()
            count_scores([a, b], "test", CRITERIA, pairs=[((0,), (1,))], rows_per_chunk=500)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    peak(1000)
    assert peak(10_000) < 1.2 * peak(2_000)
