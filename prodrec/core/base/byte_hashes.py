"""64-bit hashes of many texts at once, computed from their bytes; `Texts` looks texts up by these hashes.

Shapes: n texts, p bytes of a chunk of texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ranges import split_into_chunks

CHUNK_BYTES = 2**17
"""Bytes that are processed at a time. The arrays computed from them fit into the processor's cache."""

BASE = 0x9E3779B97F4A7C15
"""Base of the polynomial: 2^64 divided by the golden ratio. It is odd, and therefore invertible modulo 2^64."""


def hash_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return Σ_i byte_i · BASE^i modulo 2^64 of every text: uint64 [n]. Equal texts have equal hashes.

    data, offsets: the bytes of all texts and the start of each, as in `Texts`
    """
    # Running sums over a chunk: the difference of two of them is the hash of a text, times BASE^start.
    hashes_n = np.empty(len(offsets) - 1, dtype=np.uint64)
    chunks = list(split_into_chunks(offsets, CHUNK_BYTES))
    longest = max((int(offsets[last] - offsets[first]) for first, last in chunks), default=0)
    powers = _powers(BASE, longest + 1)
    inverse_powers = _powers(pow(BASE, -1, 2**64), longest + 1)
    for first, last in chunks:
        bounds = offsets[first : last + 1] - offsets[first]
        bytes_p = data[offsets[first] : offsets[last]]
        sums = np.zeros(len(bytes_p) + 1, dtype=np.uint64)
        np.cumsum(bytes_p * powers[: len(bytes_p)], out=sums[1:])
        hashes_n[first:last] = (sums[bounds[1:]] - sums[bounds[:-1]]) * inverse_powers[bounds[:-1]]
    return hashes_n


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """Return base^0 … base^(count - 1) modulo 2^64."""
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, out=powers)
