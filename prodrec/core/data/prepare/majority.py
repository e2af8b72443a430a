"""Count pairs of integer keys, to assign each key to the partner that it occurs with most often.

Shapes: N rows, P distinct pairs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class PairCounts(NamedTuple):
    """The distinct pairs (key, partner) of some rows, ordered by key, then most rows first, then by partner.

    key_P, partner_P, rows_P: int64; rows_P is the number of rows with the pair
    is_majority_P:            bool, true for the first pair of each key: its most frequent partner
    """

    key_P: NDArray[np.int64]
    partner_P: NDArray[np.int64]
    rows_P: NDArray[np.int64]
    is_majority_P: NDArray[np.bool_]


def count_pairs(key_N: NDArray[np.integer[Any]], partner_N: NDArray[np.integer[Any]], partner_count: int) -> PairCounts:
    """Count the rows of each pair. Keys are 0 or more, and partners are 0 to `partner_count` - 1."""
    pairs_N = key_N.astype(np.int64) * partner_count + partner_N
    pairs_P, rows_P = np.unique(pairs_N, return_counts=True)
    key_P, partner_P = np.divmod(pairs_P, partner_count)
    order_P = np.lexsort((partner_P, -rows_P, key_P))
    key_P, partner_P, rows_P = key_P[order_P], partner_P[order_P], rows_P[order_P]
    return PairCounts(key_P, partner_P, rows_P, np.diff(key_P, prepend=-1) != 0)
