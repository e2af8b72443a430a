"""The header and the classes in an HDF5 file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typing_extensions import TypedDict

from prodrec.core.base.artefact import make_header
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.hdf5 import (
    LIBVER,
    object_name,
    open_hdf5,
    read_attributes,
    read_taxonomy,
    write_attributes,
    write_level,
)
from prodrec.core.base.taxonomy import Taxonomy

HEADER = make_header("scores", fingerprint="ab", made_from={"run": "cd"}, h5py="3")
JSON_NAMES = ("made_from", "made_by", "seed", "levels")
VALUES = {**HEADER, "rows": 3, "with_titles": True, "penalty": 0.5, "run": '{"a": 1}', "seed": None, "levels": ["颜色"]}


class Attributes(TypedDict):
    rows: int
    levels: list[str]


READING: dict[str, Any] = {"json_names": JSON_NAMES, "schema": Attributes}


def write(path: Path, values: dict[str, Any], *, ensure_ascii: bool = False) -> None:
    with h5py.File(path, "w") as file:
        write_attributes(file, values, ensure_ascii=ensure_ascii)


@pytest.mark.parametrize("ensure_ascii", [False, True])
def test_attributes_are_read_as_they_were_written(tmp_path: Path, ensure_ascii: bool) -> None:
    write(tmp_path / "s.h5", VALUES, ensure_ascii=ensure_ascii)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file.attrs["levels"] == (r'["\u989c\u8272"]' if ensure_ascii else '["颜色"]')
        attributes = read_attributes(file, kind="scores", path=tmp_path / "s.h5", **READING)
    assert attributes == VALUES
    assert {name: type(value) for name, value in attributes.items()} == {n: type(v) for n, v in VALUES.items()}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"prodrec": "run"}, BadArtefact, "is a prodrec run, not a prodrec scores"),
        ({"levels": "[1"}, ValueError, "delimiter"),
        ({"levels": "3"}, ValueError, "levels is 3, and .* list"),
    ],
)
def test_damaged_attributes_are_refused(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    write(tmp_path / "s.h5", {**VALUES, **change})
    with h5py.File(tmp_path / "s.h5") as file, pytest.raises(error, match=message):
        read_attributes(file, kind="scores", path=tmp_path / "s.h5", **READING)


def test_a_missing_attribute_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "s.h5", HEADER)
    with h5py.File(tmp_path / "s.h5") as file, pytest.raises(KeyError, match="seed"):
        read_attributes(file, kind="scores", path=tmp_path / "s.h5", **READING)


TAXONOMY = Taxonomy(("root", "a/b.c"), (("x", "y"), ("q", "颜色", "r")), (np.array([-1, -1]), np.array([1, 0, 0])))  # type: ignore[arg-type]


def test_a_taxonomy_is_read_as_it_was_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for level in TAXONOMY.levels:
            write_level(file, TAXONOMY, level)["train_images"] = np.arange(TAXONOMY.count(level))
        assert sorted(file["classes"]) == ["a%2Fb%2Ec", "root"]
        assert sorted(file["classes/root"]) == ["name", "name_offsets", "parent", "train_images"]
        assert read_taxonomy(file, TAXONOMY.levels) == TAXONOMY
        file["classes/root/name_offsets"][1] = 9
        with pytest.raises(ValueError, match="offsets do not fit"):
            read_taxonomy(file, TAXONOMY.levels)
        with pytest.raises(KeyError, match="leaf"):
            read_taxonomy(file, ["leaf"])


@pytest.mark.parametrize(
    ("name", "escaped"), [("leaf", "leaf"), ("a/b", "a%2Fb"), ("50%.", "50%25%2E"), ("颜色", "颜色")]
)
def test_names_of_objects_are_escaped(name: str, escaped: str) -> None:
    assert object_name(name) == escaped


def test_a_file_that_another_program_has_opened_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w", libver=LIBVER, locking=False) as file:
        file["rows"] = np.arange(3)
    code = """if True:
        import sys
        from pathlib import Path
        from prodrec.core.base.hdf5 import open_hdf5
        with open_hdf5(Path(sys.argv[1]), remedy="score again") as file:
            print(list(file))
    """
    command = [sys.executable, "-c", code, str(path)]
    with h5py.File(path, "a"):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "s.h5 is open for writing in another program, or that program was killed; close it there" in result.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "['rows']\n"


@pytest.mark.parametrize(
    "error", [KeyError("rows"), ValueError("no JSON"), IndexError(), MemoryError(), OverflowError()]
)
def test_what_parsers_raise_for_a_damaged_file_names_it(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "s.h5"
    write(path, VALUES)
    with (
        pytest.raises(BadArtefact, match=r"s\.h5 is truncated or damaged \(.+\); score again\.$"),
        open_hdf5(path, remedy="score again"),
    ):
        raise error


@pytest.mark.parametrize("options", [{"chunks": (1000,)}, {"chunks": (1000,), "compression": "gzip"}])
def test_a_dataset_that_declares_more_than_the_file_contains(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "s.h5"
    with h5py.File(path, "w", libver=LIBVER, locking=False) as file:
        rows = file.create_dataset("a/rows", shape=(3_000,), maxshape=(None,), dtype=np.int64, **options)
        rows[:] = np.arange(3_000)
    with open_hdf5(path, remedy="score again") as file:
        assert file["a/rows"][:].sum() == 2999 * 1500
    with h5py.File(path, "r+", libver=LIBVER, locking=False) as file:
        file["a/rows"].resize(10**9, axis=0)
    message = r"damaged \(a/rows declares 8,000,000,000 bytes and contains [0-9,]+ at most\); score again"
    with pytest.raises(BadArtefact, match=message), open_hdf5(path, remedy="score again"):
        pass
