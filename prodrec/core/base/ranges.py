"""Consecutive ranges of one flat array: their offsets, chunks of them, and the indices that they contain.

`Texts` and `Ragged` store n items of different lengths one after the other; item i is the range from offsets[i] to
offsets[i + 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def offsets_from_lengths(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Return the offsets of n ranges with the given lengths: int64 [n + 1], 0 first and the total length last."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def concatenated_ranges(starts: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Return the indices in all ranges, one range after the other: int64 [sum of lengths].

    Range i is starts[i], starts[i] + 1, …, starts[i] + lengths[i] - 1.
    """
    offsets = offsets_from_lengths(lengths)
    indices: NDArray[np.int64] = np.arange(offsets[-1], dtype=np.int64)
    indices += np.repeat(starts - offsets[:-1], lengths)
    return indices


def split_into_chunks(offsets: NDArray[np.int64], size: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) for chunks of consecutive items first … last - 1 with a total length of at most `size`.

    A chunk has at least one item, which may be longer than `size`, and at most `size` items, which may all be empty.
    """
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + size, side="right")) - 1
        last = min(max(last, first + 1), first + size, count)
        yield first, last
        first = last
