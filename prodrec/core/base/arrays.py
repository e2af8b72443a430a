"""Arrays of an artefact on disk: opened without being read, and refused where they are not what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact


def load_array(
    path: Path, kind: type, shape: tuple[int | None, ...] | None = None, *, again: str = "make what it belongs to again"
) -> NDArray[Any]:
    """A memory-mapped array of just this type and shape, in which None is any length; of one dimension without a shape.

    Raises BadArtefact, which ends with `again`, what the user is to do.
    """
    try:
        try:
            found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # an empty array cannot be mapped
            found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadArtefact(f"{path} cannot be read ({error}); {again}.") from error
    sizes = (None,) if shape is None else shape
    fits = len(sizes) == found.ndim and all(size in (None, own) for size, own in zip(sizes, found.shape, strict=True))
    if found.dtype != kind or not fits:
        told = ", ".join("any" if size is None else str(size) for size in sizes)
        expected = f"{np.dtype(kind)}{'' if shape is None else f' [{told}]'}"
        raise BadArtefact(f"{path} holds {found.dtype} {list(found.shape)}, expected {expected}; {again}.")
    return found
