"""The labels of a product with several photos: the most frequent ones.

Shapes: R rows; P products; A attributes; V distinct pairs of a product and a value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def most_frequent(
    product_R: NDArray[np.int64], value_R: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row with the most frequent value of every product, and the number of its distinct values.

    Of values that occur equally often, the one that comes first is chosen. The results are in ascending order of the
    products that occur, int64 each.
    """
    keys_R = product_R * (int(value_R.max(initial=0)) + 1) + value_R
    _, first_V, count_V = np.unique(keys_R, return_index=True, return_counts=True)
    product_V = product_R[first_V]
    order_V = np.lexsort((first_V, -count_V, product_V))
    _, start_P, distinct_P = np.unique(product_V[order_V], return_index=True, return_counts=True)
    return first_V[order_V][start_P], distinct_P


def product_states(product_R: NDArray[np.int64], codes_RA: NDArray[np.int32], products: int) -> NDArray[np.int32]:
    """Return the most frequent code of every attribute among the photos that have it: int32 [P, A], 0 for none."""
    codes_PA = np.zeros((products, codes_RA.shape[1]), dtype=np.int32)
    for column, code_R in enumerate(codes_RA.T):
        labelled = np.flatnonzero(code_R)
        rows = labelled[most_frequent(product_R[labelled], code_R[labelled].astype(np.int64))[0]]
        codes_PA[product_R[rows], column] = code_R[rows]
    return codes_PA
