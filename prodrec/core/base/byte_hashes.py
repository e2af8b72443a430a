"""Hashes of many texts at once, from their bytes behind each other; by them `Texts` looks texts up.

Shapes: n texts, b bytes of all together, p bytes of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PIECE = 2**17
"""Bytes that are worked on at a time, so that what is computed from them stays in the processor's cache."""

BASE = 0x9E3779B97F4A7C15


def hashes_of(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Σ_i byte_i · BASE^i of every text, modulo 2^64: uint64 [n]. Equal texts have equal hashes.

    Running sums over a whole piece give every text's part of it; dividing by BASE^start makes it start at power 0.
    """
    hashes_n = np.empty(len(offsets) - 1, dtype=np.uint64)
    pieces = list(cuts(offsets, PIECE))
    longest = max((int(offsets[last] - offsets[first]) for first, last in pieces), default=0)
    powers = _powers(BASE, longest + 1)
    inverse = _powers(pow(BASE, -1, 2**64), longest + 1)
    for first, last in pieces:
        ends = offsets[first : last + 1] - offsets[first]
        bytes_p = data[offsets[first] : offsets[last]]
        sums = np.zeros(len(bytes_p) + 1, dtype=np.uint64)
        np.cumsum(bytes_p * powers[: len(bytes_p)], out=sums[1:])
        hashes_n[first:last] = (sums[ends[1:]] - sums[ends[:-1]]) * inverse[ends[:-1]]
    return hashes_n


def cuts(offsets: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """First and last text of pieces of about `size` bytes: at least one text, at most `size` texts."""
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1
        last = min(max(last, first + 1), first + size, count)
        yield first, last
        first = last


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """base^0 … base^(count - 1), modulo 2^64."""
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, out=powers)
