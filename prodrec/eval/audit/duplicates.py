"""Photos of different products that are nearly equal by their features, inside a class and across classes.

`prepare` finds identical photos, and those with nearly equal pixels. These here may be cropped, mirrored or scaled.

Shapes: N rows, k neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEARLY_EQUAL = 0.97
"""Cosine of the projected vectors from which photos are duplicates."""


class Pair(NamedTuple):
    """Two rows, the lower one first, and the cosine of their vectors."""

    first: int
    second: int
    cosine: float


def nearly_equal(cosine_Nk: NDArray[np.float32], index_Nk: NDArray[np.int64], rows_N: NDArray[np.int64]) -> list[Pair]:
    """Return all pairs, the most similar first.

    index_Nk: the nearest rows of other products for each of `rows_N`
    """
    place_P, column_P = np.nonzero(cosine_Nk >= NEARLY_EQUAL)
    rows_P2 = np.sort(np.stack([rows_N[place_P], index_Nk[place_P, column_P]], axis=1), axis=1)
    unique_P2, first_P = np.unique(rows_P2, axis=0, return_index=True)
    cosines = cosine_Nk[place_P[first_P], column_P[first_P]]
    pairs = [Pair(int(a), int(b), float(cosine)) for (a, b), cosine in zip(unique_P2, cosines, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair.cosine, pair.first, pair.second))
