"""Open the memory-mapped arrays of an artefact and check their dtype and shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact


def load_array(
    path: Path, dtype: type, shape: tuple[int | None, ...] | None = None, *, remedy: str = "make the artefact again"
) -> NDArray[Any]:
    """Return the array in a .npy file, memory-mapped unless it is empty.

    shape:  expected shape; None in the tuple allows any size of that dimension, None alone a vector of any length
    remedy: end of the error message: what the user should do

    Raise BadArtefact if the file cannot be read, or its array has another dtype or shape.
    """
    try:
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # an empty array cannot be mapped
            array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
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
