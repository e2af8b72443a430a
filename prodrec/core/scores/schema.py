"""Names, sizes and the origin that the writer and the reader of scores.h5 share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

ROWS_PER_CHUNK = 1024
BYTES_PER_CHUNK = 32 * 2**20
"""Chunks have 1,024 rows; fewer where rows are so wide (16,384 classes and more) that a chunk would pass this size."""

LARGEST = 65504.0
"""The largest finite float16."""

HDF5_VERSION = ("v110", "v110")
"""The HDF5 1.10 format: its metadata carries checksums, so that a flipped byte is an error. With the older default
format some flipped bytes sent the library into an endless loop (measured with HDF5 2.0)."""


@dataclass(frozen=True)
class Origin:
    """Where scores come from.

    run, family, seed: name, family and seed of the run.
    recipe:            the run's whole recipe, as in run.json; runs that differ in the seed alone are repeats.
    with_titles:       whether titles were used for scoring (they never are by default, A §3).
    splits:            which splits were scored.
    made_from:         fingerprints by kind: run, dataset.
    """

    run: str
    family: str
    made_from: dict[str, str]
    splits: tuple[str, ...]
    seed: int | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    with_titles: bool = False


def key(name: str) -> str:
    """A level's or attribute's name as the name of an HDF5 object."""
    return name.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")


def rows_per_chunk(bytes_per_row: int) -> int:
    """Rows of one chunk on disk, and of one piece in memory."""
    return max(1, min(ROWS_PER_CHUNK, BYTES_PER_CHUNK // max(1, bytes_per_row)))


def fixed_utf8(texts: list[str] | tuple[str, ...], *, length: int | None = None) -> NDArray[np.bytes_]:
    """Texts as fixed-length UTF-8 bytes, of `length` bytes or of the longest text. `length` must suffice."""
    encoded = [text.encode() for text in texts]
    longest = max(map(len, encoded), default=0)
    assert length is None or longest <= length, f"an id of {longest} bytes in a column of {length}"
    width = max(1, length or longest)
    return np.array(encoded, dtype=f"S{width}").view(h5py.string_dtype("utf-8", width))
