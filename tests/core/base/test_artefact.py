"""Fingerprints and headers: what tells whether two artefacts belong together."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec import __version__
from prodrec.core.base.artefact import (
    FORMAT_VERSIONS,
    Fingerprint,
    check_header,
    header,
    read_json_artefact,
    write_json,
)
from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.base.texts import Texts


def digest(*parts: tuple[str, Any]) -> str:
    fingerprint = Fingerprint()
    for name, part in parts:
        fingerprint.add(name, part)
    return fingerprint.hexdigest()


# --- fingerprints


def test_the_same_parts_give_the_same_digest() -> None:
    array = np.arange(6, dtype=np.int32)
    parts = [("rows", array), ("options", {"b": 1, "a": [1, 2]}), ("name", "包邮")]
    assert digest(*parts) == digest(("rows", array.copy()), ("options", {"a": [1, 2], "b": 1}), ("name", "包邮"))
    assert len(digest(*parts)) == 32


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([("x", 1), ("y", 2)], [("y", 2), ("x", 1)]),
        ([("x", 1)], [("y", 1)]),
        ([("x", 1)], [("x", "1")]),
        ([("x", 1)], [("x", 1.0)]),
        ([("x", 1)], [("x", True)]),
        ([("x", None)], [("x", "null")]),
        ([("x", 1)], [("x", b"1")]),
        ([("x", "ab"), ("y", "c")], [("x", "a"), ("y", "bc")]),
        ([("x", b"0:")], [("x:2", b"")]),
        ([("x", ["ab", "c"])], [("x", ["a", "bc"])]),
        ([("x", np.zeros(4, np.int32))], [("x", np.zeros(4, np.int64))]),
        ([("x", np.zeros(4, np.int32))], [("x", np.zeros(4, np.float32))]),
        ([("x", np.zeros((2, 3)))], [("x", np.zeros((3, 2)))]),
        ([("x", np.zeros(4, np.uint8))], [("x", bytes(4))]),
        ([("x", np.zeros(0, np.int32))], []),
        ([("x", Texts.of(("ab", "c")))], [("x", Texts.of(("a", "bc")))]),
        ([("x", Texts.of(("ab", "c")))], [("x", ["ab", "c"])]),
        ([("x", np.array([1, 2]))], [("x", np.array([2, 1]))]),
    ],
)
def test_names_order_types_and_shapes_matter(a: list[tuple[str, Any]], b: list[tuple[str, Any]]) -> None:
    assert digest(*a) != digest(*b)


def test_an_array_counts_by_its_content_not_by_its_memory() -> None:
    whole = np.arange(24, dtype=np.int64).reshape(4, 6)
    assert digest(("x", whole[:, ::2])) == digest(("x", np.ascontiguousarray(whole[:, ::2])))
    assert digest(("x", whole.T)) == digest(("x", whole.T.copy()))


def test_arrays_of_objects_have_no_content_to_hash() -> None:
    with pytest.raises(AssertionError, match="objects"):
        digest(("x", np.array(["a", None], dtype=object)))


# --- headers


def test_a_header_says_what_it_is_and_what_it_was_made_from() -> None:
    found = header("scores", fingerprint="ab", made_from={"run": "cd"}, torch="2.11")
    assert found == {
        "prodrec": "scores",
        "format_version": FORMAT_VERSIONS["scores"],
        "fingerprint": "ab",
        "made_from": {"run": "cd"},
        "made_by": {"prodrec": __version__, "torch": "2.11"},
    }
    check_header(found, kind="scores", path=Path("s.h5"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prodrec": "run"}, "s.h5 is a prodrec run, not a prodrec scores."),
        ({"prodrec": None}, "s.h5 is no prodrec artefact, not a prodrec scores."),
        ({"format_version": 99}, "s.h5 has format version 99 and this prodrec"),
        ({"format_version": None}, "s.h5 has format version None"),
    ],
)
def test_another_header_is_refused(change: dict[str, Any], message: str) -> None:
    found = {**header("scores", fingerprint="", made_from={}), **change}
    with pytest.raises(BadArtefact) as caught:
        check_header(found, kind="scores", path=Path("s.h5"))
    assert str(caught.value).startswith(message)


def write_dataset(place: Path, **change: Any) -> Path:
    place.mkdir(exist_ok=True)
    write_json(place / "dataset.json", {**header("dataset", fingerprint="f", made_from={}), **change})
    return place


def test_reads_the_header_of_a_directory(tmp_path: Path) -> None:
    place = write_dataset(tmp_path / "shop", counts={"rows": 3})
    assert read_json_artefact(place, kind="dataset")["counts"] == {"rows": 3}


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (shutil.rmtree, NotFound, "{place} does not exist; expected the directory of a prodrec dataset."),
        (lambda p: (shutil.rmtree(p), p.write_text("x")), BadArtefact, "{place} is a file; expected the directory"),
        (lambda p: (p / "dataset.json").unlink(), BadArtefact, "{place} is not a prodrec dataset: it has no dataset.j"),
        (lambda p: os.truncate(p / "dataset.json", 40), BadArtefact, "{place}/dataset.json is not readable as JSON ("),
        (lambda p: os.truncate(p / "dataset.json", 0), BadArtefact, "{place}/dataset.json is not readable as JSON ("),
        (
            lambda p: (p / "dataset.json").write_bytes(b'{"prodrec": "\xff"}'),
            BadArtefact,
            "{place}/dataset.json is not readable as JSON (",
        ),
        (lambda p: (p / "dataset.json").write_text("[1]"), BadArtefact, "{place}/dataset.json holds no JSON object"),
        (lambda p: write_dataset(p, prodrec="run"), BadArtefact, "{place}/dataset.json is a prodrec run, not a prod"),
        (lambda p: write_dataset(p, format_version=0), BadArtefact, "{place}/dataset.json has format version 0 and"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, spoil: Any, error: type[Exception], message: str) -> None:
    place = write_dataset(tmp_path / "shop")
    spoil(place)
    with pytest.raises(error) as caught:
        read_json_artefact(place, kind="dataset")
    assert str(caught.value).startswith(message.format(place=place))


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"name": "裙"})
    assert json.loads(path.read_text("utf-8")) == {"name": "裙"}
    for wrong in ({"loss": float("nan")}, {"loss": object()}, {"name": "\udcff"}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, wrong)
    assert json.loads(path.read_text("utf-8")) == {"name": "裙"}
    assert [place.name for place in tmp_path.iterdir()] == ["run.json"]
