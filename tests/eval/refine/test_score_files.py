"""Aligned score files: by row, one for each level, and the errors for files that do not belong together."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.reader import open_scores
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.refine import score_files
from prodrec.eval.refine.score_files import align_scores


def copy_rows(source: Path, out: Path, select: Any) -> Path:
    """Write a copy with the rows that `select` returns for the row positions."""
    with open_scores(source) as scores:
        chunk = next(scores.chunks(rows=10_000, attributes=True, features=True))
        with ScoresWriter(
            out,
            origin=scores.origin,
            taxonomy=scores.taxonomy,
            train_images=scores.train_images,
            id_bytes=12,
            attributes=scores.attributes,
        ) as writer:
            index = select(np.arange(len(chunk)))
            writer.append(
                ids=[text.decode() for text in chunk.ids_R[index]],
                rows_B=chunk.rows_R[index],
                split_B=chunk.split_R[index],
                labels_BL=chunk.labels_RL[index],
                attributes_BA=chunk.attributes_RA[index],
                features_BD=chunk.features_RD[index],
                scores={level: values[index] for level, values in chunk.scores.items()},
            )
    return out


def test_one_file_for_each_level_equals_one_with_both(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "CHUNK_BYTES", 6 * 15 * 33)
    both = draw_scores("both", scored=("root", "leaf"))
    leaf, root = draw_scores("leaf"), draw_scores("root", scored=("root",))
    with ExitStack() as stack:
        one, two = align_scores([both.path], stack), align_scores([root.path, leaf.path], stack)
        assert two.main.path == leaf.path and two.level_sources["root"].path == root.path
        assert one.levels == two.levels == ("root", "leaf") and one.top_k is None
        chunks = list(zip(one.chunks(), two.chunks(with_copied=True), strict=True))
        assert len(chunks) > 4
        for a, b in chunks:
            np.testing.assert_array_equal(a.concatenated_scores(), b.concatenated_scores())
            np.testing.assert_array_equal(a.labels_RL, b.labels_RL)
            assert b.main.features_RD is not None and a.main.features_RD is None
        all_scores = np.concatenate([a.concatenated_scores() for a, _ in chunks])
        expected = np.concatenate([both.scores["root"], both.scores["leaf"]], axis=1)
        np.testing.assert_array_equal(all_scores, expected.astype(np.float32))
        labels = np.concatenate([a.labels_RL for a, _ in chunks])
        np.testing.assert_array_equal(labels, both.labels + np.array([0, 3]))


def test_top_k_and_all_scores_are_aligned_as_top_k(draw_scores: Any) -> None:
    leaf, root = draw_scores("leaf", top_k=4, ties=False), draw_scores("root", scored=("root",), ties=False)
    with ExitStack() as stack:
        aligned = align_scores([leaf.path, root.path], stack)
        assert aligned.top_k == 4
        chunk = next(aligned.chunks())
        assert chunk.classes is not None and chunk.classes["leaf"].shape[1] == 4 and chunk.classes["root"].shape[1] == 3
        samples = chunk.top_k_samples(aligned.tree, np.zeros(len(chunk), dtype=np.int64))
        assert samples.scores[1].min(axis=1).tolist() == [0] * len(chunk)
        dense = leaf.scores["leaf"].astype(np.float32)[: len(chunk)]
        best = -np.sort(-dense, axis=1)[:, :4]
        np.testing.assert_allclose(samples.scores[1], best - best[:, 3:])
        np.testing.assert_array_equal(np.take_along_axis(dense, samples.categories[1] - 3, axis=1), best)


def test_large_catalogues_are_read_as_top_k(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "MAX_DENSE_CATEGORIES", 10)
    monkeypatch.setattr(score_files, "TOP_K_OF_DENSE", 5)
    drawn = draw_scores(scored=("root", "leaf"), ties=False)
    with ExitStack() as stack:
        aligned = align_scores([drawn.path], stack)
        chunk = next(aligned.chunks())
        assert aligned.top_k == 5 and chunk.classes is not None
        dense = drawn.scores["leaf"].astype(np.float32)[: len(chunk)]
        np.testing.assert_array_equal(-np.sort(-chunk.scores["leaf"], axis=1), -np.sort(-dense, axis=1)[:, :5])
        np.testing.assert_array_equal(np.take_along_axis(dense, chunk.classes["leaf"], axis=1), chunk.scores["leaf"])


def test_scores_of_attributes_come_from_the_leaf_file_or_the_only_one(draw_scores: Any) -> None:
    leaf, root = draw_scores("leaf"), draw_scores("root", scored=("root",), score_attributes=True)
    own = draw_scores("own", score_attributes=True, seed=4)
    with ExitStack() as stack:
        for main, source in ((leaf, root), (own, own)):
            chunk = next(align_scores([main.path, root.path], stack).chunks(with_copied=True))
            expected = source.attribute_scores["colour/tone"].astype(np.float32)[: len(chunk)]
            np.testing.assert_array_equal(chunk.attribute_scores["colour/tone"], expected)


def check_error(message: str, kind: type[Exception], *paths: Path, levels: Any = None) -> None:
    with ExitStack() as stack, pytest.raises(kind, match=message):
        align_scores(paths, stack, levels=levels)


def test_missing_rows_are_listed(draw_scores: Any, tmp_path: Path) -> None:
    leaf, root = draw_scores("leaf").path, draw_scores("root", scored=("root",)).path
    fewer = copy_rows(root, tmp_path / "fewer.h5", lambda at: ~np.isin(at, [2, 5, 7, 9, 11]))
    message = r"fewer\.h5 lacks rows of .*leaf\.h5: 6, 15, 21 and 2 more; score both"
    check_error(message, Mismatch, leaf, fewer)
    less = copy_rows(leaf, tmp_path / "less.h5", lambda at: at != 4)
    check_error(r"less\.h5 lacks rows of .*root\.h5: 12; score both", Mismatch, root, less)


def test_files_that_do_not_belong_together(draw_scores: Any) -> None:
    leaf = draw_scores("leaf").path
    check_error(
        r"root\.h5 has other classes than .*leaf",
        Mismatch,
        leaf,
        draw_scores("root", scored=("root",), prefix="k").path,
    )
    other = draw_scores("other", scored=("root",), dataset="dataset-2").path
    check_error(r"other\.h5 contains scores of another dataset than .*leaf\.h5", Mismatch, leaf, other)
    check_error(
        "both contain scores of level leaf", BadOption, leaf, draw_scores("again", scored=("root", "leaf")).path
    )


def test_levels_that_are_missing(draw_scores: Any) -> None:
    leaf, root = draw_scores("leaf").path, draw_scores("root", scored=("root",)).path
    check_error(r"leaf\.h5 contains scores of level leaf alone; give also .* \(root\)", BadOption, leaf)
    check_error(r"root\.h5 contains no scores of level leaf .*heads=leaf", BadOption, root)
    check_error(r"leaf\.h5 contains no scores of level root .*heads=root", BadOption, leaf, levels=("root", "leaf"))
    check_error(r"has no level 'middle' \(root, leaf\)", BadOption, leaf, levels=("middle",))
    check_error("the leaves .leaf. must be among them", BadOption, leaf, root, levels=("root",))
    check_error(r"root\.h5 contains scores of no level that is refined", BadOption, leaf, root, levels=("leaf",))
    with ExitStack() as stack:
        assert align_scores([leaf], stack, levels=("leaf",)).tree.n == 12
