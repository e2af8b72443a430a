"""Fingerprints and headers of artefacts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec import __version__
from prodrec.core.base.artefact import FORMAT_VERSIONS, Fingerprint, check_header, make_header, read_json_artefact
from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.base.texts import Texts

from .conftest import write_dataset


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
        ([("x", Texts.from_strings(("ab", "c")))], [("x", Texts.from_strings(("a", "bc")))]),
        ([("x", Texts.from_strings(("ab", "c")))], [("x", ["ab", "c"])]),
        ([("x", np.array([1, 2]))], [("x", np.array([2, 1]))]),
    ],
)
def test_names_order_types_and_shapes_matter(a: list[tuple[str, Any]], b: list[tuple[str, Any]]) -> None:
    assert digest(*a) != digest(*b)


def test_the_memory_layout_of_an_array_does_not_matter() -> None:
    whole = np.arange(24, dtype=np.int64).reshape(4, 6)
    assert digest(("x", whole[:, ::2])) == digest(("x", np.ascontiguousarray(whole[:, ::2])))
    assert digest(("x", whole.T)) == digest(("x", whole.T.copy()))


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(AssertionError, match="objects"):
        digest(("x", np.array(["a", None], dtype=object)))


# --- headers


def test_a_header_has_the_kind_and_the_origin() -> None:
    header = make_header("scores", fingerprint="ab", made_from={"run": "cd"}, torch="2.11")
    assert header == {
        "prodrec": "scores",
        "format_version": FORMAT_VERSIONS["scores"],
        "fingerprint": "ab",
        "made_from": {"run": "cd"},
        "made_by": {"prodrec": __version__, "torch": "2.11"},
    }
    check_header(header, kind="scores", path=Path("s.h5"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prodrec": "run"}, "s.h5 is a prodrec run, not a prodrec scores."),
        ({"prodrec": None}, "s.h5 is not a prodrec artefact; expected a prodrec scores."),
        ({"format_version": 99}, "s.h5 has format version 99 and this prodrec"),
        ({"format_version": None}, "s.h5 has format version None"),
    ],
)
def test_another_header_is_refused(change: dict[str, Any], message: str) -> None:
    header = {**make_header("scores", fingerprint="", made_from={}), **change}
    with pytest.raises(BadArtefact) as caught:
        check_header(header, kind="scores", path=Path("s.h5"))
    assert str(caught.value).startswith(message)


def test_reads_the_header_of_a_directory(tmp_path: Path) -> None:
    directory = write_dataset(tmp_path / "shop", counts={"rows": 3})
    assert read_json_artefact(directory, kind="dataset")["counts"] == {"rows": 3}


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (shutil.rmtree, NotFound, "{directory} does not exist; expected the directory of a prodrec dataset."),
        (lambda p: (shutil.rmtree(p), p.write_text("x")), BadArtefact, "{directory} is a file; expected the directory"),
        (
            lambda p: (p / "dataset.json").unlink(),
            BadArtefact,
            "{directory} is not a prodrec dataset: it has no dataset.j",
        ),
        (
            lambda p: os.truncate(p / "dataset.json", 40),
            BadArtefact,
            "{directory}/dataset.json is not readable as JSON (",
        ),
        (
            lambda p: os.truncate(p / "dataset.json", 0),
            BadArtefact,
            "{directory}/dataset.json is not readable as JSON (",
        ),
        (
            lambda p: (p / "dataset.json").write_bytes(b'{"prodrec": "\xff"}'),
            BadArtefact,
            "{directory}/dataset.json is not readable as JSON (",
        ),
        (
            lambda p: (p / "dataset.json").write_text("[1]"),
            BadArtefact,
            "{directory}/dataset.json contains no JSON object",
        ),
        (
            lambda p: write_dataset(p, prodrec="run"),
            BadArtefact,
            "{directory}/dataset.json is a prodrec run, not a prod",
        ),
        (
            lambda p: write_dataset(p, format_version=0),
            BadArtefact,
            "{directory}/dataset.json has format version 0 and",
        ),
    ],
)
def test_a_directory_that_is_no_dataset_is_refused(
    tmp_path: Path, spoil: Any, error: type[Exception], message: str
) -> None:
    directory = write_dataset(tmp_path / "shop")
    spoil(directory)
    with pytest.raises(error) as caught:
        read_json_artefact(directory, kind="dataset")
    assert str(caught.value).startswith(message.format(directory=directory))
