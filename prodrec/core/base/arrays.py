"""Memory-mapped arrays in .npy files: open those of an artefact and check them, write one chunk by chunk."""

from __future__ import annotations

import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact

ERRORS_OF_NPY = (OSError, ValueError, EOFError, OverflowError, tokenize.TokenError)
"""What numpy raises for a damaged .npy file: it reads the header as Python."""


def load_array(
    path: Path, dtype: type, shape: tuple[int | None, ...] | None = None, *, remedy: str = "make the artefact again"
) -> NDArray[Any]:
    """Return the array in a .npy file, memory-mapped unless it is empty.

    shape:  expected shape; None in the tuple allows any size of that dimension, None alone a vector of any length
    remedy: end of the error message: what the user should do

    Raise BadArtefact if the file cannot be read, or its array has another dtype or shape.
    """
    try:
        array = _map_array(path)
    except ERRORS_OF_NPY as error:
        raise BadArtefact(f"{path} cannot be read ({error}); {remedy}.") from error
    expected = (None,) if shape is None else shape
    same_sizes = len(expected) == array.ndim and all(
        size in (None, actual) for size, actual in zip(expected, array.shape, strict=True)
    )
    if array.dtype != dtype or not same_sizes:
        sizes = "" if shape is None else f" [{', '.join('any' if size is None else str(size) for size in shape)}]"
        raise BadArtefact(
            f"{path} contains {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)}{sizes}; {remedy}."
        )
    return array


def _map_array(path: Path) -> NDArray[Any]:
    """Return the array in a .npy file, memory-mapped unless it is empty. Raise what numpy raises for a damaged file."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        with path.open("rb") as stream:
            is_version_1 = np.lib.format.read_magic(stream) == (1, 0)
            read_header = np.lib.format.read_array_header_1_0 if is_version_1 else np.lib.format.read_array_header_2_0
            shape, _, dtype = read_header(stream)
        if 0 not in shape:  # a shape that exceeds the file must not be allocated
            raise
        array = np.empty(shape, dtype)  # an empty array cannot be mapped
    return array


def write_rows(path: Path, chunks: Iterable[NDArray[Any]], *, rows: int) -> None:
    """Write chunks one after another along the first dimension of an array in the .npy file at `path`.

    rows: the sum of their lengths

    One chunk is in memory at a time. Without chunks no file is written.
    """
    array, written = None, 0
    for chunk in chunks:
        if array is None:
            array = np.lib.format.open_memmap(path, mode="w+", dtype=chunk.dtype, shape=(rows, *chunk.shape[1:]))
        array[written : written + len(chunk)] = chunk
        written += len(chunk)
    if array is not None:
        assert written == rows, f"{written} rows instead of {rows}"
        array.flush()
