"""Counts by key in bounded memory, for keys of which most never occur, such as pairs of classes.

A key is kept with its counts and with one example: the row of the highest priority. If more than `capacity` keys occur,
those with the smallest first counts are dropped, as in lossy counting (Manku and Motwani 2002). A key that was dropped
and occurs again starts from zero; counts are therefore too small by at most `shortfall`, and frequent keys are never
lost.

Shapes: R rows of a chunk; K keys; Q counts of a key.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CAPACITY = 2**18
"""Number of keys that are kept, at about 50 bytes each."""


class SparseCounts:
    """The keys, ascending, int64 [K]; their counts, int64 [K, Q]; the row of the example of each, int64 [K].

    shortfall: largest possible difference between a first count and the true one; 0 if no key was dropped
    """

    def __init__(self, columns: int, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._pending: list[tuple[NDArray[Any], ...]] = []
        self._keys_K = np.empty(0, dtype=np.int64)
        self._counts_KQ = np.empty((0, columns), dtype=np.int64)
        self._priority_K = np.empty(0)
        self._rows_K = np.empty(0, dtype=np.int64)
        self._shortfall = 0

    def add(
        self, key_R: NDArray[np.int64], counts_RQ: NDArray[np.int64], priority_R: NDArray[np.float64], row_R: Any
    ) -> None:
        """Add the counts of every row to its key."""
        self._pending.append((key_R, counts_RQ, priority_R, np.asarray(row_R, dtype=np.int64)))
        if sum(len(keys) for keys, *_ in self._pending) >= self._capacity:
            self._merge()

    def result(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the keys, their counts, and the rows of their examples."""
        self._merge()
        return self._keys_K, self._counts_KQ, self._rows_K

    @property
    def shortfall(self) -> int:
        """Largest possible difference between a first count and the true one."""
        self._merge()
        return self._shortfall

    def _merge(self) -> None:
        if not self._pending:
            return
        own = (self._keys_K, self._counts_KQ, self._priority_K, self._rows_K)
        keys, counts, priority, rows = (np.concatenate(parts) for parts in zip(own, *self._pending, strict=True))
        self._pending = []
        order = np.lexsort((rows, -priority, keys))  # the example of a key comes first
        keys, counts = keys[order], counts[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])[: len(keys)]
        sums = np.add.reduceat(counts, starts, axis=0) if len(keys) else counts
        kept = np.arange(len(starts))
        if len(starts) > self._capacity:
            by_count = np.argsort(-sums[:, 0], kind="stable")
            kept = np.sort(by_count[: self._capacity])
            self._shortfall += int(sums[by_count[self._capacity], 0])
        examples = order[starts[kept]]
        self._keys_K, self._counts_KQ = keys[starts[kept]], sums[kept]
        self._priority_K, self._rows_K = priority[examples], rows[examples]
