"""Folds for out-of-fold estimates: all photos of a product, and all duplicates, are in one fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign_folds(group_N: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Return a pseudo-random fold for every row, the same in every scores file of a dataset.

    group_N: the first row of each row's duplicate group, or another number of the group. What is fitted on the other
             folds is never judged on another photo of a product that it has seen.
    """
    mixed_N = group_N.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # multiply and shift, as in splitmix64
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed_N >> np.uint64(33)) % np.uint64(folds)).astype(np.int64)
