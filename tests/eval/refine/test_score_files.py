"""Files side by side: joined by row, one for each level, everything that does not belong together is named."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.scores.reader import open_scores
from prodrec.core.scores.writer import ScoresWriter
from prodrec.eval.refine import score_files as room
from prodrec.eval.refine.score_files import join


def some_rows(source: Path, out: Path, keep: Any) -> Path:
    """A copy with some of the rows."""
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
            pick = keep(np.arange(len(chunk)))
            writer.append(
                ids=[text.decode() for text in chunk.ids_R[pick]],
                rows_B=chunk.rows_R[pick],
                split_B=chunk.split_R[pick],
                labels_BL=chunk.labels_RL[pick],
                attributes_BA=chunk.attributes_RA[pick],
                features_BD=chunk.features_RD[pick],
                scores={level: values[pick] for level, values in chunk.scores.items()},
            )
    return out


def test_one_file_for_each_level_is_as_good_as_one_with_both(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BYTES_OF_A_PIECE", 6 * 15 * 33)
    both = draw_scores("both", scored=("root", "leaf"))
    leaf, root = draw_scores("leaf"), draw_scores("root", scored=("root",))
    with ExitStack() as stack:
        one, two = join([both.path], stack), join([root.path, leaf.path], stack)
        assert two.main.path == leaf.path and two.sources["root"].path == root.path
        assert one.levels == two.levels == ("root", "leaf") and one.keep is None
        pieces = list(zip(one.pieces(), two.pieces(copied=True), strict=True))
        assert len(pieces) > 4
        for a, b in pieces:
            np.testing.assert_array_equal(a.side_by_side(), b.side_by_side())
            np.testing.assert_array_equal(a.labels_RL, b.labels_RL)
            assert b.main.features_RD is not None and a.main.features_RD is None
        whole = np.concatenate([a.side_by_side() for a, _ in pieces])
        wanted = np.concatenate([both.scores["root"], both.scores["leaf"]], axis=1)
        np.testing.assert_array_equal(whole, wanted.astype(np.float32))
        labels = np.concatenate([a.labels_RL for a, _ in pieces])
        np.testing.assert_array_equal(labels, both.labels + np.array([0, 3]))


def test_top_k_and_all_scores_join_as_top_k(draw_scores: Any) -> None:
    leaf, root = draw_scores("leaf", top_k=4, ties=False), draw_scores("root", scored=("root",), ties=False)
    with ExitStack() as stack:
        files = join([leaf.path, root.path], stack)
        assert files.keep == 4
        piece = next(files.pieces())
        assert piece.classes is not None and piece.classes["leaf"].shape[1] == 4 and piece.classes["root"].shape[1] == 3
        kept = piece.kept(files.tree, np.zeros(len(piece), dtype=np.int64))
        assert kept.scores[1].min(axis=1).tolist() == [0] * len(piece)
        dense = leaf.scores["leaf"].astype(np.float32)[: len(piece)]
        best = -np.sort(-dense, axis=1)[:, :4]
        np.testing.assert_allclose(kept.scores[1], best - best[:, 3:])
        np.testing.assert_array_equal(np.take_along_axis(dense, kept.categories[1] - 3, axis=1), best)


def test_catalogues_too_large_for_all_scores_are_read_as_their_best(
    draw_scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_CATEGORIES", 10)
    monkeypatch.setattr(room, "KEPT_OF_MORE", 5)
    drawn = draw_scores(scored=("root", "leaf"), ties=False)
    with ExitStack() as stack:
        files = join([drawn.path], stack)
        piece = next(files.pieces())
        assert files.keep == 5 and piece.classes is not None
        dense = drawn.scores["leaf"].astype(np.float32)[: len(piece)]
        np.testing.assert_array_equal(-np.sort(-piece.scores["leaf"], axis=1), -np.sort(-dense, axis=1)[:, :5])
        np.testing.assert_array_equal(np.take_along_axis(dense, piece.classes["leaf"], axis=1), piece.scores["leaf"])


def test_scores_of_attributes_come_from_the_leaf_file_or_the_only_one(draw_scores: Any) -> None:
    leaf, root = draw_scores("leaf"), draw_scores("root", scored=("root",), score_attributes=True)
    own = draw_scores("own", score_attributes=True, seed=4)
    with ExitStack() as stack:
        for main, source in ((leaf, root), (own, own)):
            piece = next(join([main.path, root.path], stack).pieces(copied=True))
            wanted = source.attribute_scores["colour/tone"].astype(np.float32)[: len(piece)]
            np.testing.assert_array_equal(piece.attribute_scores["colour/tone"], wanted)


def wrong(told: str, kind: type[Exception], *paths: Path, levels: Any = None) -> None:
    with ExitStack() as stack, pytest.raises(kind, match=told):
        join(paths, stack, levels=levels)


def test_rows_that_one_file_lacks_are_named(draw_scores: Any, tmp_path: Path) -> None:
    leaf, root = draw_scores("leaf").path, draw_scores("root", scored=("root",)).path
    fewer = some_rows(root, tmp_path / "fewer.h5", lambda at: ~np.isin(at, [2, 5, 7, 9, 11]))
    told = r"fewer\.h5 lacks rows of .*leaf\.h5: 6, 15, 21 and 2 more; score both"
    wrong(told, Mismatch, leaf, fewer)
    less = some_rows(leaf, tmp_path / "less.h5", lambda at: at != 4)
    wrong(r"less\.h5 lacks rows of .*root\.h5: 12; score both", Mismatch, root, less)


def test_files_that_do_not_belong_together(draw_scores: Any) -> None:
    leaf = draw_scores("leaf").path
    wrong(
        r"root\.h5 has other classes than .*leaf",
        Mismatch,
        leaf,
        draw_scores("root", scored=("root",), prefix="k").path,
    )
    other = draw_scores("other", scored=("root",), dataset="dataset-2").path
    wrong(r"other\.h5 holds scores of another dataset than .*leaf\.h5", Mismatch, leaf, other)
    wrong("both hold scores of level leaf", BadOption, leaf, draw_scores("again", scored=("root", "leaf")).path)


def test_levels_that_are_not_there(draw_scores: Any) -> None:
    leaf, root = draw_scores("leaf").path, draw_scores("root", scored=("root",)).path
    wrong(r"leaf\.h5 holds scores of level leaf alone; give also .* \(root\)", BadOption, leaf)
    wrong(r"root\.h5 holds no scores of level leaf .*heads=leaf", BadOption, root)
    wrong(r"leaf\.h5 holds no scores of level root .*heads=root", BadOption, leaf, levels=("root", "leaf"))
    wrong(r"knows no level 'middle' \(root, leaf\)", BadOption, leaf, levels=("middle",))
    wrong("the leaves .leaf. must be among them", BadOption, leaf, root, levels=("root",))
    wrong(r"root\.h5 holds scores of no level that is refined", BadOption, leaf, root, levels=("leaf",))
    with ExitStack() as stack:
        assert join([leaf], stack, levels=("leaf",)).tree.n == 12
