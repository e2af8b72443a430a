"""Arrays are memory-mapped; an array of another type or shape is refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.arrays import load_array, write_rows
from prodrec.core.base.errors import BadArtefact


def test_a_saved_array_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.int32).reshape(2, 3))
    array = load_array(tmp_path / "a.npy", np.int32, (None, 3))
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]] and isinstance(array, np.memmap)
    np.save(tmp_path / "empty.npy", np.empty(0, np.uint8))
    assert load_array(tmp_path / "empty.npy", np.uint8).shape == (0,)


def test_chunks_become_one_array(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float16)
    write_rows(tmp_path / "rows.npy", iter([rows[:3], rows[3:4], rows[4:]]), rows=7)
    written = np.load(tmp_path / "rows.npy")
    assert written.dtype == np.float16 and np.array_equal(written, rows)
    with pytest.raises(AssertionError, match="6 rows instead of 7"):
        write_rows(tmp_path / "short.npy", [rows[:6]], rows=7)
    write_rows(tmp_path / "none.npy", [], rows=7)
    assert not (tmp_path / "none.npy").exists()


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (np.int64, (4,), r"contains int32 \[4\], expected int64 \[4\]"),
        (np.int32, (5,), r"contains int32 \[4\], expected int32 \[5\]"),
        (np.int32, (4, 1), r"expected int32 \[4, 1\]"),
        (np.uint8, None, "expected uint8; do this"),
        (np.int32, (None, 3), r"expected int32 \[any, 3\]"),
    ],
)
def test_another_array_is_refused(
    tmp_path: Path, dtype: type, shape: tuple[int | None, ...] | None, message: str
) -> None:
    np.save(tmp_path / "a.npy", np.arange(4, dtype=np.int32))
    with pytest.raises(BadArtefact, match=message):
        load_array(tmp_path / "a.npy", dtype, shape, remedy="do this")


@pytest.mark.parametrize(("declared", "version"), [(b"(2000000000,)", 1), (b"(-1,)", 1), (b"(2000000000,)", 2)])
def test_a_shape_that_lies_takes_no_memory(tmp_path: Path, declared: bytes, version: int) -> None:
    path = tmp_path / "a.npy"
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': " + declared + b", }"
    header = header.ljust(117) + b"\n"
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header + bytes(80))
    tracemalloc.start()
    with pytest.raises(BadArtefact, match=r"a\.npy cannot be read"):
        load_array(path, np.int64)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"no array", b"cut", b"bracket"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.npy"
    if content == b"cut":
        np.save(path, np.arange(1000))
        content = path.read_bytes()[:4000]
    if content == b"bracket":
        np.save(path, np.arange(1000))
        content = path.read_bytes().replace(b"(1000,)", b"((1000,")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadArtefact, match=r"a\.npy cannot be read .*; make the artefact again"):
        load_array(path, np.int64)
