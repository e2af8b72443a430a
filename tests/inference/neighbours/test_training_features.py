"""The file of training vectors: what is written is read, and damage is found."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.base.texts import Texts
from prodrec.inference.neighbours.lists import SearchLists
from prodrec.inference.neighbours.training_features import (
    copy_training_features,
    read_training_features,
    write_training_features,
)

N, D = 7, 4
LISTS = SearchLists(np.eye(2, D, dtype=np.float32), np.array([0, 1, 1, 0, 0, 1, 1], np.int32), 1, 0.99, 50, True)
VECTORS_ND = np.random.default_rng(0).normal(size=(N, D)).astype(np.float16)


def write(path: Path, lists: SearchLists | None = None) -> None:
    write_training_features(
        path,
        iter([VECTORS_ND[:3], VECTORS_ND[3:]]),
        run_fingerprint="run-1",
        dataset_fingerprint="dataset-1",
        level="leaf",
        class_N=np.array([0, 0, 1, 1, 1, 3, 3], np.int32),
        group_N=np.array([0, 0, 2, 3, 3, 3, 9], np.int64),
        row_N=np.arange(N) * 2,
        ids=Texts.from_strings(["a", "a", "b", "c", "c", "c", "鞋"]),
        choose_lists=lambda vectors, projection: lists,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "neighbours.h5")
    features = read_training_features(tmp_path / "neighbours.h5", run_fingerprint="run-1")
    vectors_Nd = features.projection(torch.from_numpy(VECTORS_ND).float()).half().numpy()
    assert np.array_equal(features.vectors_Nd, vectors_Nd) and features.level == "leaf" and len(features) == N
    assert list(features.ids) == ["a", "a", "b", "c", "c", "c", "鞋"] and features.row_N.tolist() == [*range(0, 14, 2)]
    assert {field.name for field in fields(features)} >= {"class_N", "group_N"} and features.class_N.dtype == np.int32
    assert features.class_counts(5).tolist() == [1, 2, 0, 2, 0]  # groups, not photos
    assert features.lists is None


def test_the_fingerprint_covers_the_vectors(tmp_path: Path) -> None:
    write(tmp_path / "one.h5")
    VECTORS_ND[0, 0] += 1
    try:
        write(tmp_path / "two.h5")
    finally:
        VECTORS_ND[0, 0] -= 1
    one, two = (read_training_features(tmp_path / name, run_fingerprint="run-1") for name in ("one.h5", "two.h5"))
    assert one.fingerprint != two.fingerprint


def test_lists_are_read_and_copied_and_change_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path / "exact.h5")
    write(tmp_path / "lists.h5", LISTS)
    write(tmp_path / "two.h5", replace(LISTS, probes=2))
    exact, features, two = (
        read_training_features(tmp_path / name, run_fingerprint="run-1") for name in ("exact.h5", "lists.h5", "two.h5")
    )
    assert len({exact.fingerprint, features.fingerprint, two.fingerprint}) == 3
    path = tmp_path / "copy.h5"
    class_N = features.class_N + 1
    copy_training_features(features, path, run_fingerprint="r", dataset_fingerprint="d", class_N=class_N)
    for lists in (features.lists, read_training_features(path, run_fingerprint="r").lists):
        assert lists is not None and str(lists) == str(LISTS) and (lists.queries, lists.validation) == (50, True)
        assert np.array_equal(lists.centroid_Ld, LISTS.centroid_Ld) and np.array_equal(lists.list_N, LISTS.list_N)
        assert type(lists.probes) is int and type(lists.recall) is float


@pytest.mark.parametrize(("list_N", "reason"), [([0, 1, 1, 0, 0, 1, 2], "does not exist"), ([0, 1], "lengths")])
def test_damaged_lists(tmp_path: Path, list_N: list[int], reason: str) -> None:
    write(tmp_path / "neighbours.h5", replace(LISTS, list_N=np.array(list_N, np.int32)))
    with pytest.raises(BadArtefact, match=f"is truncated or damaged .*{reason}"):
        read_training_features(tmp_path / "neighbours.h5", run_fingerprint="run-1")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "neighbours.h5"
    with pytest.raises(NotFound, match="make it with `prodrec neighbours"):
        read_training_features(path, run_fingerprint="run-1")
    write(path)
    with pytest.raises(BadArtefact, match="other weights"):
        read_training_features(path, run_fingerprint="run-2")
    with h5py.File(path, "a") as file:
        made_from, file.attrs["made_from"] = file.attrs["made_from"], "-1"
    with pytest.raises(BadArtefact, match=r"made_from is -1, .* make it again with `prodrec neighbours"):
        read_training_features(path, run_fingerprint="run-1")
    with h5py.File(path, "a") as file:
        file.attrs["made_from"] = made_from
        del file["row"]
        file["row"] = np.arange(3)
    with pytest.raises(BadArtefact, match="different lengths"):
        read_training_features(path, run_fingerprint="run-1")
    write(path)
    with h5py.File(path, "a") as file:
        projection = file["projection"][:]
        del file["projection"]
        file["projection"] = projection[: len(projection) // 2]
    with pytest.raises(BadArtefact, match="its projection does not make its vectors"):
        read_training_features(path, run_fingerprint="run-1")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(BadArtefact, match="damaged"):
        read_training_features(path, run_fingerprint="run-1")


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> object:
        yield VECTORS_ND[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_training_features(
            tmp_path / "neighbours.h5",
            fail(),  # type: ignore[arg-type]
            run_fingerprint="run-1",
            dataset_fingerprint="dataset-1",
            level="leaf",
            class_N=np.zeros(N, np.int32),
            group_N=np.arange(N),
            row_N=np.arange(N),
            ids=Texts.from_strings("abcdefg"),
            choose_lists=lambda vectors, projection: None,
        )
    assert list(tmp_path.iterdir()) == []
