"""Arrays come back as they were written, mapped where that is possible; anything else is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.arrays import load_array
from prodrec.core.base.errors import BadArtefact


def test_what_was_saved_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.int32).reshape(2, 3))
    found = load_array(tmp_path / "a.npy", np.int32, (None, 3))
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]] and isinstance(found, np.memmap)
    np.save(tmp_path / "empty.npy", np.empty(0, np.uint8))
    assert load_array(tmp_path / "empty.npy", np.uint8).shape == (0,)


@pytest.mark.parametrize(
    ("kind", "shape", "told"),
    [
        (np.int64, (4,), r"holds int32 \[4\], expected int64 \[4\]"),
        (np.int32, (5,), r"holds int32 \[4\], expected int32 \[5\]"),
        (np.int32, (4, 1), r"expected int32 \[4, 1\]"),
        (np.uint8, None, "expected uint8; do this"),
        (np.int32, (None, 3), r"expected int32 \[any, 3\]"),
    ],
)
def test_another_array_is_refused(tmp_path: Path, kind: type, shape: tuple[int | None, ...] | None, told: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(4, dtype=np.int32))
    with pytest.raises(BadArtefact, match=told):
        load_array(tmp_path / "a.npy", kind, shape, again="do this")


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"no array", b"cut"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.npy"
    if content == b"cut":
        np.save(path, np.arange(1000))
        content = path.read_bytes()[:4000]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadArtefact, match=r"a\.npy cannot be read .*; make what it belongs to again"):
        load_array(path, np.int64)
