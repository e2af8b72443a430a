"""The reader: chunks of rows, and errors for damaged files and files of other kinds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, BadOption, NotFound
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.scores.reader import open_scores
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter


@pytest.mark.parametrize("rows", [None, 1, 7, 1000])
@pytest.mark.parametrize("split", [None, "test", "validation"])
def test_chunks_contain_the_rows_that_were_written(draw_scores: Any, rows: int | None, split: str | None) -> None:
    drawn = draw_scores(scored=("root", "leaf"))
    code = {"test": 1, "validation": 2}.get(split or "")
    in_split = np.ones(len(drawn.rows), dtype=bool) if code is None else drawn.split == code
    with open_scores(drawn.path) as scores:
        assert scores.taxonomy.difference(drawn.taxonomy) is None
        assert scores.train_images.tolist() == drawn.train_images.tolist()
        assert scores.levels == scores.scored_levels == ("root", "leaf")
        assert scores.attributes[0].name == "colour/tone" and scores.attributes[0].states == ("red", "green", "blue")
        assert (scores.origin.run, scores.origin.family, scores.origin.seed) == ("visual", "visual", 0)
        assert scores.count(split) == in_split.sum()
        chunks = list(scores.chunks(split, rows=rows, attributes=True, features=True))
        assert rows is None or max(map(len, chunks)) <= rows
        np.testing.assert_array_equal(np.concatenate([c.rows_R for c in chunks]), drawn.rows[in_split])
        np.testing.assert_array_equal(np.concatenate([c.labels_RL for c in chunks]), drawn.labels[in_split])
        np.testing.assert_array_equal(np.concatenate([c.attributes_RA for c in chunks]), drawn.attributes[in_split])
        np.testing.assert_array_equal(np.concatenate([c.features_RD for c in chunks]), drawn.features[in_split])
        for level in scores.levels:
            read = np.concatenate([c.scores[level] for c in chunks])
            np.testing.assert_array_equal(read, drawn.scores[level][in_split].astype(np.float32))
        assert chunks[0].ids_R[0].decode() == f"产品{drawn.rows[in_split][0]}"


def test_top_k_file(draw_scores: Any) -> None:
    drawn = draw_scores(top_k=5, ties=False, scored=("root", "leaf"))
    with open_scores(drawn.path) as scores:
        assert scores.top_k == 5
        chunk = next(scores.chunks(rows=10))
        assert chunk.classes is not None
        assert chunk.scores["leaf"].shape == (10, 5) and chunk.scores["root"].shape == (10, 3)
        dense = drawn.scores["leaf"][:10].astype(np.float32)
        np.testing.assert_array_equal(np.take_along_axis(dense, chunk.classes["leaf"], axis=1), chunk.scores["leaf"])


@pytest.mark.parametrize("scored", [("leaf",), ("root",), ("root", "leaf"), ()])
@pytest.mark.parametrize("top_k", [None, 2])
def test_any_levels_and_attributes_may_be_scored(draw_scores: Any, scored: tuple[str, ...], top_k: int | None) -> None:
    drawn = draw_scores(scored=scored, top_k=top_k, score_attributes=True)
    with open_scores(drawn.path) as scores:
        assert scores.scored_levels == scored and scores.scored_attributes == ("colour/tone",)
        assert scores.top_k == (top_k if scored else None)
        chunks = list(scores.chunks(rows=33, attribute_scores=True))
        read = np.concatenate([chunk.attribute_scores["colour/tone"] for chunk in chunks])
        np.testing.assert_array_equal(read, drawn.attribute_scores["colour/tone"].astype(np.float32))
        assert set(chunks[0].scores) == set(scored)
        part = np.concatenate(
            [c.attribute_scores["colour/tone"] for c in scores.chunks("validation", attribute_scores=True)]
        )
        np.testing.assert_array_equal(part, read[drawn.split == 2])
        assert next(scores.chunks()).attribute_scores == {}
    with open_scores(draw_scores("plain").path) as scores:
        assert scores.scored_attributes == () and next(scores.chunks(attribute_scores=True)).attribute_scores == {}


def test_a_label_may_be_missing_at_the_deeper_levels(predicted_paths: Any, tmp_path: Path) -> None:
    labels_NL = [[0, 0, 0], [0, 1, -1], [1, -1, -1]]
    path = predicted_paths(labels_NL)
    with open_scores(path) as scores:
        assert next(scores.chunks()).labels_RL.tolist() == labels_NL
    edit(path, put("labels/leaf", 2, 3))
    with (
        open_scores(path) as scores,
        pytest.raises(BadArtefact, match="row 2 has label 3 at level leaf, and none at level middle above it"),
    ):
        next(scores.chunks())
    with pytest.raises(AssertionError, match=r"labels \[1, -1, 3\] are no path of classes"):
        predicted_paths([[1, -1, 3]])


@pytest.fixture
def predicted_paths(tmp_path: Path) -> Any:
    """Return a function that writes a scores file of rows with the labels [N, 3]."""
    parents = tuple(np.array(p, dtype=np.int32) for p in ([-1, -1], [0, 0, 1], [0, 0, 1, 2, 2]))
    taxonomy = Taxonomy(("root", "middle", "leaf"), (("A", "B"), ("a", "b", "c"), ("0", "1", "2", "3", "4")), parents)

    def write(labels_NL: list[list[int]]) -> Path:
        path, n = tmp_path / "paths.h5", len(labels_NL)
        origin = Origin("r", "visual", {"run": "a", "dataset": "b"}, splits=("test",))
        writer = ScoresWriter(path, origin=origin, taxonomy=taxonomy, train_images=[1] * 5, id_bytes=1, force=True)
        with writer:
            writer.append(
                ids=list("abc")[:n],
                rows_B=np.arange(n),
                split_B=np.ones(n),
                labels_BL=labels_NL,
                features_BD=np.zeros((n, 1)),
                scores={"leaf": np.zeros((n, 5))},
            )
        return path

    return write


def test_every_truncated_file_is_refused(draw_scores: Any, tmp_path: Path) -> None:
    data = draw_scores().path.read_bytes()
    cut = tmp_path / "cut.h5"
    for length in [0, 3, 8, 9, 60, 1000, len(data) // 3, len(data) // 2, len(data) - 100, len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(BadArtefact, match=r"cut\.h5 is (empty|truncated or damaged)"):
            open_scores(cut)


def test_flipped_bytes_are_refused_or_have_no_effect(draw_scores: Any, tmp_path: Path) -> None:
    """Metadata has checksums: a flipped byte in the first pages raises BadArtefact or has no effect."""
    data = draw_scores().path.read_bytes()
    bad, refused = tmp_path / "bad.h5", 0
    for position in range(0, 6000, 151):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        bad.write_bytes(damaged)
        try:
            with open_scores(bad) as scores:
                for _ in scores.chunks(attributes=True, features=True):
                    pass
        except BadArtefact as error:
            assert "bad.h5" in str(error)
            refused += 1
    assert refused > 3


def test_files_of_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="prodrec score"):
        open_scores(tmp_path / "none.h5")
    with pytest.raises(BadArtefact, match="directory"):
        open_scores(tmp_path)
    text = tmp_path / "text.h5"
    text.write_text("id,label\n1,2\n")
    with pytest.raises(BadArtefact, match="not an HDF5 file"):
        open_scores(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(BadArtefact, match="not a prodrec artefact"):
        open_scores(tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5", "a") as file:
        file.attrs["prodrec"] = "embeddings"
    with pytest.raises(BadArtefact, match="a prodrec embeddings, not a prodrec scores"):
        open_scores(tmp_path / "other.h5")


def edit(path: Path, change: Any) -> Path:
    with h5py.File(path, "a") as file:
        change(file)
    return path


def shorten(name: str) -> Any:
    def change(file: Any) -> None:
        file[name].resize(file[name].shape[0] - 1, axis=0)

    return change


def put(name: str, at: Any, value: Any) -> Any:
    def change(file: Any) -> None:
        file[name][at] = value

    return change


def new(name: str, shape: tuple[int, int]) -> Any:
    def change(file: Any) -> None:
        file.create_dataset(name, shape=shape, dtype=np.float16)

    return change


@pytest.mark.parametrize(
    "name", ["id", "row", "split", "labels/root", "features", "scores/leaf", "attributes/colour%2Ftone"]
)
def test_datasets_of_unequal_length(draw_scores: Any, name: str) -> None:
    path = edit(draw_scores().path, shorten(name))
    with pytest.raises(BadArtefact, match=f"{name} has 199 rows, expected 200"):
        open_scores(path)


def _halve(file: h5py.File, name: str) -> None:
    values = file[name][:]
    del file[name]
    file[name] = values[: len(values) // 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("scores/leaf", (4, 2), np.nan), r"level leaf are not finite .* row 12 \(id 产品12\)"),
        (put("scores/leaf", (4, 2), -np.inf), "not finite"),
        (put("labels/leaf", 4, 12), "row 12 has label 12 at level leaf, which has 12 classes"),
        (put("labels/leaf", 4, -2), "row 12 has label -2 at level leaf, which has 12 classes"),
        (put("labels/root", 4, -1), "row 12 has label -1 at level root, which has 3 classes"),
        (put("labels/root", 4, -1), "label -1 at level root"),
        (put("attributes/colour%2Ftone", 4, 4), "row 12 has code 4 of attribute colour/tone, which has 3 states"),
        (put("attributes/colour%2Ftone", 4, -1), "row 12 has code -1 of attribute colour/tone"),
        (put("row", 4, 0), "do not ascend"),
        (put("split", 4, 7), "has the split 7, and the file is of "),
        (put("split", 4, 0), "has the split 0, and the file is of test, validation"),
        (put("attribute_scores/colour%2Ftone", (4, 2), np.nan), r"attribute colour/tone are not finite .* row 12"),
    ],
)
def test_values_that_violate_the_schema(draw_scores: Any, change: Any, message: str) -> None:
    path = edit(draw_scores(score_attributes=True).path, change)
    with open_scores(path) as scores, pytest.raises(BadArtefact, match=message):
        list(scores.chunks(attributes=True, attribute_scores=True))


def test_a_top_k_class_that_does_not_exist(draw_scores: Any) -> None:
    path = edit(draw_scores(top_k=3).path, put("top_k/leaf/classes", (5, 1), 99))
    with (
        open_scores(path) as scores,
        pytest.raises(BadArtefact, match="row 15 has the score of a class of leaf that does not exist"),
    ):
        list(scores.chunks())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__setitem__("format_version", 9), "format version 9"),
        (lambda file: file.attrs.__delitem__("rows"), "truncated or damaged"),
        (
            lambda file: file.attrs.__setitem__("made_from", "-1"),
            r"truncated or damaged \(made_from is -1, .* dictionary\)",
        ),
        (
            lambda file: file.attrs.__setitem__("recipe", "1099511627776"),
            r"truncated or damaged \(recipe is 1099511627776, .* dictionary\)",
        ),
        (lambda file: _halve(file, "classes/leaf/train_images"), "leaves and .* numbers of training images"),
        (lambda file: file.attrs.__setitem__("made_from", "{"), "truncated or damaged"),
        (lambda file: file.__delitem__("labels"), "truncated or damaged"),
        (put("classes/leaf/parent", 2, 99), "level leaf has parents that do not exist; score"),
        (put("classes/leaf/name", len("class 0class "), ord("0")), "level leaf has a class 'class 0' twice; score"),
        (lambda file: file.__delitem__("scores"), "no level and no attribute is scored"),
        (
            lambda file: file.create_dataset("attribute_scores/colour%2Ftone", shape=(200, 2), dtype="f2"),
            "3 states and 2 scores",
        ),
        (
            lambda file: file.create_dataset("attribute_scores/colour%2Ftone", shape=(9, 3), dtype="f2"),
            "has 9 rows, expected 200",
        ),
    ],
)
def test_a_damaged_structure_is_refused(draw_scores: Any, change: Any, message: str) -> None:
    with pytest.raises(BadArtefact, match=message):
        open_scores(edit(draw_scores().path, change))


def test_a_split_that_was_not_scored(draw_scores: Any) -> None:
    with (
        open_scores(draw_scores().path) as scores,
        pytest.raises(BadOption, match=r"'train' \(it has test, validation\)"),
    ):
        list(scores.chunks("train"))


def test_memory_does_not_grow_with_the_rows(draw_scores: Any, tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        drawn = draw_scores(rows=rows, leaves=30, out=tmp_path / f"{rows}.h5")
        with open_scores(drawn.path) as scores:
            tracemalloc.start()
            for _ in scores.chunks("test", rows=500):
                pass
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    peak(1000)
    assert peak(10_000) < 1.2 * peak(2_000)
