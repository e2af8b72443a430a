"""Rows of different lengths as two flat arrays: the values of all rows, and the offset at which each row starts.

The word ids of all titles of a dataset are stored like this. Flat arrays can be memory-mapped, and loader processes
share them without a copy; lists of Python lists can be neither mapped nor shared.

Shapes: N rows, V values of all rows, B rows of a batch, T length of the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ranges import concatenated_ranges, offsets_from_lengths

CHUNK_ROWS = 2**17
"""Rows that are processed at a time. The temporary arrays of a chunk of titles take a few megabytes."""


@dataclass(eq=False)
class Ragged:
    """N rows of integers. Row i is `values[offsets[i]:offsets[i + 1]]`.

    values:  int32 [V]
    offsets: int64 [N + 1], ascending from 0 to V
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.values.ndim == self.offsets.ndim == 1 or not len(self.offsets):
            raise ValueError(f"values {self.values.shape} and offsets {self.offsets.shape} are no rows")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.values):
            raise ValueError(f"offsets from {self.offsets[0]} to {self.offsets[-1]} of {len(self.values)} values")

    @classmethod
    def from_lengths(cls, values: NDArray[Any] | None, lengths_N: NDArray[Any]) -> Ragged:
        """Return rows of the given lengths. `values` contains all values [V]; None allocates zeros."""
        offsets = offsets_from_lengths(lengths_N)
        return cls(np.zeros(offsets[-1], np.int32) if values is None else np.asarray(values, np.int32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Return the values of a row. A negative row counts from the end. Raise IndexError if it does not exist."""
        n = len(self)
        if not -n <= row < n:
            raise IndexError(f"row {row} of {n}")
        row = row % n
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of values of every row: int64 [N]."""
        return np.diff(self.offsets)

    def chunks(self) -> Iterator[tuple[slice, Ragged]]:
        """Yield consecutive chunks of at most CHUNK_ROWS rows as views, each with its slice of the rows."""
        for start in range(0, len(self), CHUNK_ROWS):
            offsets = self.offsets[start : start + CHUNK_ROWS + 1]
            rows = slice(start, start + len(offsets) - 1)
            yield rows, Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, rows_B: NDArray[Any] | Sequence[int]) -> Ragged:
        """Return a copy of the rows `rows_B`, in that order."""
        rows = np.asarray(rows_B, dtype=np.int64)
        taken = Ragged.from_lengths(None, self.offsets[rows + 1] - self.offsets[rows])
        for chunk_rows, chunk in taken.chunks():
            chunk.values[:] = self.values[concatenated_ranges(self.offsets[rows[chunk_rows]], chunk.lengths)]
        return taken

    def filter(self, mask_V: NDArray[np.bool_]) -> Ragged:
        """Return all rows with only the values where `mask_V` is true. A row may become empty."""
        lengths_N = np.empty(len(self), np.int64)
        for rows, chunk in self.chunks():
            start = self.offsets[rows.start]
            true_before = offsets_from_lengths(mask_V[start : start + len(chunk.values)])
            lengths_N[rows] = np.diff(true_before[chunk.offsets])
        return Ragged.from_lengths(self.values[mask_V], lengths_N)

    def value_counts(self, mask_N: NDArray[np.bool_], *, size: int) -> NDArray[np.int64]:
        """Return how often each value 0 … size - 1 occurs in the rows where `mask_N` is true: int64 [size]."""
        counts = np.zeros(size, np.int64)
        for rows, chunk in self.chunks():
            counts += np.bincount(chunk.values[np.repeat(mask_N[rows], chunk.lengths)], minlength=size)
        return counts

    def padded(self, rows_B: NDArray[Any] | Sequence[int]) -> NDArray[np.int64]:
        """Return the rows `rows_B` as int64 [B, T], padded with 0 at the end. T is at least 1."""
        rows = np.asarray(rows_B, dtype=np.int64)
        starts, lengths_B = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        longest = int(lengths_B.max(initial=1))
        padded_BT = np.zeros((len(lengths_B), longest), dtype=np.int64)
        padded_BT[np.arange(longest) < lengths_B[:, None]] = self.values[concatenated_ranges(starts, lengths_B)]
        return padded_BT
