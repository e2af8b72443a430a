"""Memory-mapped arrays of an artefact, with a check of their type and shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact


def load_array(
    path: Path, dtype: type, shape: tuple[int | None, ...] | None = None, *, remedy: str = "make the artefact again"
) -> NDArray[Any]:
    """Return the array in a .npy file, memory-mapped. It must have this dtype and shape.

    shape:  None is any shape of one dimension; a None in the tuple is any size of that dimension
    remedy: what the user should do if the array cannot be used, for the message

    Raise BadArtefact if the file cannot be read or contains another array.
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
