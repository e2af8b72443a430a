"""Which rows of a scores file show which product.

Shapes: N rows of a split; P products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.scores.reader import Scores

ROWS_READ_AT_ONCE = 2**16
"""Rows whose narrow columns are read at a time."""


@dataclass(frozen=True)
class ProductRows:
    """The rows of one split, which need 24 bytes each in memory, and their products.

    rows:       number of rows of the file
    first_P:    first row of every product in the dataset, int64 [P], ascending
    product_N:  product of every row, as an index in first_P, int64 [N]
    photos_P:   number of rows of every product, int64 [P]
    position_N: position of every row in the file, int64 [N], ascending
    """

    rows: int
    first_P: NDArray[np.int64]
    product_N: NDArray[np.int64]
    photos_P: NDArray[np.int64]
    position_N: NDArray[np.int64]

    @property
    def has_several(self) -> bool:
        """Whether some product has several rows."""
        return len(self.first_P) < len(self.product_N)

    @cached_property
    def _sorted_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows sorted by product, int64 [N], and where each product ends in them, int64 [P]."""
        return np.argsort(self.product_N, kind="stable"), np.cumsum(self.photos_P)

    def rows_of(self, start: int, stop: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return the rows of the products from `start` to `stop` (exclusive).

        These are the mask of the rows in the file, bool [rows], and their products minus `start`, in file order.
        """
        sorted_N, ends_P = self._sorted_rows
        rows_n = np.sort(sorted_N[ends_P[start] - self.photos_P[start] : ends_P[stop - 1]])
        selected = np.zeros(self.rows, dtype=bool)
        selected[self.position_N[rows_n]] = True
        return selected, self.product_N[rows_n] - start

    def bands(self, bytes_P: NDArray[np.int64], *, most_bytes: int, most_products: int) -> Iterator[tuple[int, int]]:
        """Yield the products in bands: the first, and the one after the last.

        bytes_P: bytes that each product takes. A band takes at most `most_bytes`, unless a single product takes more.
        """
        ends_P, start = np.cumsum(bytes_P), 0
        while start < len(ends_P):
            used = int(ends_P[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends_P, used + most_bytes, side="right")))
            stop = min(stop, start + most_products)
            yield start, stop
            start = stop


def find_product_rows(scores: Scores, split: str) -> ProductRows:
    """Return the products of the rows of `split`. Raise the errors of `Scores.chunks`."""
    code, seen = SPLITS.index(split), 0
    positions, products = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for chunk in scores.chunks(rows=ROWS_READ_AT_ONCE, levels=()):
        in_split = np.flatnonzero(chunk.split_R == code)
        positions.append(in_split + seen)
        products.append(chunk.product_R[in_split])
        seen += len(chunk)
    first_P, product_N, photos_P = np.unique(np.concatenate(products), return_inverse=True, return_counts=True)
    return ProductRows(scores.n, first_P, product_N, photos_P, np.concatenate(positions))
