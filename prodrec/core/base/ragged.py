"""Lists of different lengths as two flat arrays: every title's word ids behind each other, and where each title begins.

Flat arrays can be memory-mapped and are shared between loader processes without a copy; a list of Python lists is not.

Shapes: N rows, V values of all rows together, B rows of a batch, T the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE = 1 << 17


@dataclass(eq=False)
class Ragged:
    """N rows of integers; row i is `values[offsets[i]:offsets[i + 1]]`.

    values:  int32 [V]
    offsets: int64 [N + 1], starts with 0, never decreases, ends with V
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        assert self.values.ndim == self.offsets.ndim == 1 and len(self.offsets) >= 1
        assert self.offsets[0] == 0 and self.offsets[-1] == len(self.values)

    @classmethod
    def from_lengths(cls, values: NDArray[Any] | None, lengths_N: NDArray[Any]) -> Ragged:
        """Values that stand behind each other already, or zeros to be filled, and the length of every row."""
        offsets = np.zeros(len(lengths_N) + 1, dtype=np.int64)
        np.cumsum(lengths_N, out=offsets[1:])
        return cls(np.zeros(offsets[-1], np.int32) if values is None else np.asarray(values, np.int32), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """The values of one row; a negative row counts from the end. Raises IndexError."""
        n = len(self)
        if not -n <= row < n:
            raise IndexError(f"row {row} of {n}")
        row = row % n
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [N], how many values every row has."""
        return np.diff(self.offsets)

    def pieces(self) -> Iterator[tuple[slice, Ragged]]:
        """Some rows at a time, as views, and which they are: what is computed of a piece never takes much memory."""
        for start in range(0, len(self), _ROWS_AT_ONCE):
            offsets = self.offsets[start : start + _ROWS_AT_ONCE + 1]
            rows = slice(start, start + len(offsets) - 1)
            yield rows, Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, rows_B: NDArray[Any] | Sequence[int]) -> Ragged:
        """The rows `rows_B`, in that order, as a Ragged of their own."""
        rows = np.asarray(rows_B, dtype=np.int64)
        taken = Ragged.from_lengths(None, self.offsets[rows + 1] - self.offsets[rows])
        for part, piece in taken.pieces():
            piece.values[:] = self.values[self._places(rows[part])[0]]
        return taken

    def keep(self, wanted_V: NDArray[np.bool_]) -> Ragged:
        """The same rows with only the values that are wanted; a row may become empty."""
        lengths_N = np.empty(len(self), np.int64)
        for rows, piece in self.pieces():
            start = self.offsets[rows.start]
            before = np.append(0, np.cumsum(wanted_V[start : start + len(piece.values)]))
            lengths_N[rows] = np.diff(before[piece.offsets])
        return Ragged.from_lengths(self.values[wanted_V], lengths_N)

    def counts(self, rows: NDArray[np.bool_], *, below: int) -> NDArray[np.int64]:
        """How often each value 0 … below - 1 occurs in the rows that `rows`, bool [N], has: int64 [below]."""
        counts = np.zeros(below, np.int64)
        for part, piece in self.pieces():
            counts += np.bincount(piece.values[np.repeat(rows[part], piece.lengths)], minlength=below)
        return counts

    def padded(self, rows_B: NDArray[Any] | Sequence[int]) -> NDArray[np.int64]:
        """The rows `rows_B` as int64 [B, T], filled with 0 behind their ends; T is at least 1."""
        where, lengths_B = self._places(rows_B)
        longest = int(lengths_B.max(initial=1))
        padded_BT = np.zeros((len(lengths_B), longest), dtype=np.int64)
        padded_BT[np.arange(longest) < lengths_B[:, None]] = self.values[where]
        return padded_BT

    def _places(self, rows_B: NDArray[Any] | Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the values of `rows_B` stand in `values`, and how many every row has."""
        rows = np.asarray(rows_B, dtype=np.int64)
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        return np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths), lengths
