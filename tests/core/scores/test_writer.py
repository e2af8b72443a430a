"""The writer: the schema on disk, constant memory, atomic files, and overflow of float16."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import OutputExists, ProdrecError
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.reader import open_scores
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter


def small_tree(leaves: int = 3) -> Taxonomy:
    return Taxonomy(
        levels=("leaf",), names=(tuple(f"c{i}" for i in range(leaves)),), parents=(np.full(leaves, -1, dtype=np.int32),)
    )


def make_writer(path: Path, leaves: int = 3, **changes: Any) -> ScoresWriter:
    options: dict[str, Any] = {
        "origin": Origin(run="r", family="visual", made_from={"run": "a", "dataset": "b"}, splits=("test",)),
        "taxonomy": small_tree(leaves),
        "train_images": np.arange(leaves),
        "id_bytes": 8,
    }
    return ScoresWriter(path, **{**options, **changes})


def add(writer: ScoresWriter, rows: list[int], scores: Any, **changes: Any) -> None:
    n = len(rows)
    writer.append(
        **{
            "ids": [f"p{row}" for row in rows],
            "rows_B": rows,
            "split_B": [1] * n,
            "labels_BL": np.zeros((n, 1)),
            "features_BD": np.zeros((n, 2)),
            "scores": {"leaf": np.asarray(scores, dtype=np.float32)},
            **changes,
        }
    )


def test_schema_on_disk(draw_scores: Any) -> None:
    drawn = draw_scores(rows=300)
    with h5py.File(drawn.path) as file:
        assert file["scores/leaf"].dtype == np.float16
        assert file["scores/leaf"].chunks == (1024, 12)
        assert file["scores/leaf"].compression is None
        assert file["scores/leaf"].shape == (300, 12)
        assert "scores/root" not in file and "top_k" not in file
        assert file["id"][0].decode() == "产品0"
        assert file["attributes/colour%2Ftone"][:].tolist() == drawn.attributes[:, 0].tolist()
        assert file["classes/root/train_images"][:].sum() == drawn.train_images.sum()
        assert file.attrs["prodrec"] == "scores" and file.attrs["rows"] == 300


def test_scores_of_attributes_on_disk(draw_scores: Any) -> None:
    with h5py.File(draw_scores(score_attributes=True, scored=("root",), top_k=2).path) as file:
        dataset = file["attribute_scores/colour%2Ftone"]
        assert dataset.shape == (200, 3) and dataset.dtype == np.float16 and dataset.chunks == (1024, 3)
        assert set(file["top_k"]) == {"root"} and "scores" not in file


def test_scores_of_attributes_are_checked_and_in_the_fingerprint(tmp_path: Path) -> None:
    colour = Attribute("colour", ("red", "green"))

    def write(values: Any) -> str | None:
        with make_writer(tmp_path / "s.h5", attributes=[colour], force=True) as writer:
            add(writer, [0], [[1, 2, 3]], attributes_BA=[[1]], attribute_scores={"colour": values})
        return writer.fingerprint

    assert write([[1, 2]]) != write([[1, 3]])
    with pytest.raises(ProdrecError, match=r"scores of attribute colour of row 0 \(id p0\) are not finite"):
        write([[1, np.nan]])
    with pytest.raises(AssertionError, match="scores of colour"):
        write([[1, 2, 3]])


def test_at_least_one_level_or_attribute_is_scored(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="at least one level"), make_writer(tmp_path / "s.h5") as writer:
        writer.append(ids=["p"], rows_B=[0], split_B=[1], labels_BL=[[0]], features_BD=[[0]], scores={})


def test_chunks_of_wide_rows_have_fewer_rows(tmp_path: Path) -> None:
    leaves = 200_000
    with make_writer(tmp_path / "s.h5", leaves) as writer:
        add(writer, [0], np.zeros((1, leaves)))
    with h5py.File(tmp_path / "s.h5") as file:
        chunk = file["scores/leaf"].chunks
        assert chunk[0] * chunk[1] * 2 <= 32 * 2**20 and chunk[0] > 1


def test_one_long_id_does_not_make_the_file_large(tmp_path: Path) -> None:
    ids = ["x" * 2000, *map(str, range(1, 4000))]
    with make_writer(tmp_path / "s.h5", id_bytes=2000, rows=4000) as writer:
        for start in range(0, 4000, 500):
            add(writer, list(range(start, start + 500)), np.ones((500, 3)), ids=ids[start : start + 500])
    assert (tmp_path / "s.h5").stat().st_size < 400_000  # 8 MB of zeros otherwise
    with open_scores(tmp_path / "s.h5") as scores:
        assert [name.decode() for chunk in scores.chunks() for name in chunk.ids_R] == ids


def test_the_fingerprint_does_not_depend_on_the_batches(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(10, 3))

    def write(name: str, splits: list[int], values: Any) -> str | None:
        with make_writer(tmp_path / name) as writer:
            for start, end in zip([0, *splits], [*splits, 10], strict=True):
                add(writer, list(range(start, end)), values[start:end])
        return writer.fingerprint

    first = write("a.h5", [5], scores)
    assert first == write("b.h5", [1, 2, 9], scores) == open_scores(tmp_path / "a.h5").fingerprint
    scores[9, 2] += 1
    assert first != write("c.h5", [5], scores)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (7e4, "7e+04"), (-7e4, "float16")]
)
def test_an_overflow_is_reported_with_its_row_and_leaves_no_file(tmp_path: Path, value: float, message: str) -> None:
    scores = np.zeros((4, 3))
    scores[2, 1] = value
    with (
        pytest.raises(ProdrecError, match=r"leaf of row 12 \(id p12\)") as caught,
        make_writer(tmp_path / "s.h5") as writer,
    ):
        add(writer, [1, 2], scores[:2])
        add(writer, [10, 11, 12, 13], scores)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_float16_is_stored(tmp_path: Path) -> None:
    with make_writer(tmp_path / "s.h5") as writer:
        add(writer, [0], [[65504, -65504, 0]])
    with open_scores(tmp_path / "s.h5") as scores:
        assert next(scores.chunks()).scores["leaf"].tolist() == [[65504, -65504, 0]]


def test_features_that_overflow_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProdrecError, match="features of row 0"), make_writer(tmp_path / "s.h5") as writer:
        add(writer, [0], [[1, 2, 3]], features_BD=[[1e6, 0]])


def test_an_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with make_writer(path) as writer:
        add(writer, [0], [[1, 2, 3]])
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), make_writer(path, force=True) as writer:
        add(writer, [0], [[3, 2, 1]])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_replacing_a_file_needs_force(tmp_path: Path) -> None:
    (tmp_path / "s.h5").write_text("old")
    with pytest.raises(OutputExists, match="--force"), make_writer(tmp_path / "s.h5"):
        pass
    with make_writer(tmp_path / "s.h5", force=True) as writer:
        add(writer, [0], [[1, 2, 3]])
    assert open_scores(tmp_path / "s.h5").n == 1


def test_a_disk_that_is_too_small_is_reported_at_the_first_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 1000 * (8 + 1 + 8 + 4 + 2 * 2 + 3 * 2)  # row, split, id, label, features, scores
    for free, is_refused in ((needed - 1, True), (needed, False)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if is_refused:
            with pytest.raises(ProdrecError, match="GiB free"), make_writer(tmp_path / "s.h5", rows=1000) as writer:
                add(writer, [0], [[1, 2, 3]])
            assert list(tmp_path.iterdir()) == []
        else:
            with make_writer(tmp_path / "s.h5", rows=1000) as writer:
                add(writer, [0], [[1, 2, 3]])


def test_every_batch_has_the_same_columns(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="same columns"), make_writer(tmp_path / "s.h5") as writer:
        add(writer, [0], [[1, 2, 3]])
        add(writer, [1], [[1, 2]], classes={"leaf": [[0, 1]]})


def test_without_rows_no_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(ProdrecError, match="no row"), make_writer(tmp_path / "s.h5"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [[3, 3], [4, 2]])
def test_rows_must_ascend(tmp_path: Path, rows: list[int]) -> None:
    with pytest.raises(AssertionError, match="ascend"), make_writer(tmp_path / "s.h5") as writer:
        add(writer, rows, np.zeros((2, 3)))


def test_top_k_is_stored_in_descending_order_with_the_lower_class_first(tmp_path: Path) -> None:
    with make_writer(tmp_path / "s.h5") as writer:
        add(writer, [0, 1, 2], [[1, 3], [16.002, 16.001], [5, 5]], classes={"leaf": [[0, 2], [2, 1], [2, 0]]})
    with open_scores(tmp_path / "s.h5") as scores:
        chunk = next(scores.chunks())
        assert scores.top_k == 2
        assert chunk.classes is not None and chunk.classes["leaf"].tolist() == [[2, 0], [2, 1], [0, 2]]
        # 16.001 and 16.002 are both 16 in float16: the smaller one is lowered by one step
        assert chunk.scores["leaf"].tolist() == [[3, 1], [16, 15.9921875], [5, 5]]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(batches: int) -> int:
        values = np.random.default_rng(0).normal(size=(512, 64))
        tracemalloc.start()
        with make_writer(tmp_path / "s.h5", 64, force=True) as writer:
            for i in range(batches):
                add(writer, list(range(i * 512, i * 512 + 512)), values)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)
    assert peak(30) < 1.2 * peak(6)
