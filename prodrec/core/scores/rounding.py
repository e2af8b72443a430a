"""Scores and features as float16: what it cannot hold is refused, and the order of the best survives.

Shapes: B rows, C classes, K kept classes, M = 11 classes whose order is looked after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import ProdrecError
from prodrec.core.scores.schema import LARGEST

ORDERED = 10
"""So many of a row's largest scores keep their order in float16."""


class Where(NamedTuple):
    """What a message says about the rows of a batch."""

    run: str
    ids: Sequence[str]
    rows: NDArray[np.int64]


def to_half(values: NDArray[Any], what: str, where: Where) -> NDArray[np.float16]:
    """`values` (one row a row of `where`) as float16. Raises ProdrecError, naming the row, for what it cannot hold."""
    largest = np.abs(values).max(axis=1, initial=0.0)
    wrong = np.flatnonzero(~(largest <= LARGEST))
    if len(wrong):
        i = int(wrong[0])
        found = "are not finite (NaN or infinite)"
        if np.isfinite(largest[i]):
            found = f"reach {largest[i]:.4g}, and float16 holds at most {LARGEST:.0f}"
        raise ProdrecError(
            f"the {what} of row {where.rows[i]} (id {where.ids[i]}) {found}; nothing was written. "
            f"The run {where.run} has most likely diverged: train it with a smaller learning rate."
        )
    return values.astype(np.float16)


def keep_order(exact_BC: NDArray[Any], half_BC: NDArray[np.float16]) -> NDArray[np.float16]:
    """`half_BC` with the 10 largest scores of every row in the order that they had before rounding, above all others.

    Float16 has 11 bits: scores of 8 to 16 that are closer than 0.008 become equal, and the lower class index would win.
    Where rounding made two of the best equal, the smaller one is put one step of float16 lower.
    """
    best = min(ORDERED + 1, exact_BC.shape[1])
    which_BM = np.argpartition(-exact_BC, best - 1, axis=1)[:, :best].astype(np.int32)
    exact_BM, half_BM = np.take_along_axis(exact_BC, which_BM, axis=1), np.take_along_axis(half_BC, which_BM, axis=1)
    ordered_BM, ordered_which_BM = best_first(exact_BM, half_BM, which_BM)
    moved = np.flatnonzero((np.take_along_axis(half_BC, ordered_which_BM, axis=1) != ordered_BM).any(axis=1))
    if len(moved):
        least_M1 = ordered_BM[moved, -1:]
        below = exact_BC[moved] < exact_BM[moved].min(axis=1, keepdims=True)
        rows = np.minimum(half_BC[moved], np.where(below, _step_down(least_M1), least_M1))
        np.put_along_axis(rows, ordered_which_BM[moved], ordered_BM[moved], axis=1)
        half_BC[moved] = rows
    return half_BC


def best_first(
    exact_BK: NDArray[Any], half_BK: NDArray[np.float16], classes_BK: NDArray[np.int32]
) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Rounded scores and classes by falling exact score, then by rising class index; equal only where those were."""
    order = np.lexsort((classes_BK, -exact_BK), axis=-1)
    exact_BK, half_BK = np.take_along_axis(exact_BK, order, axis=1), np.take_along_axis(half_BK, order, axis=1)
    for k in range(1, half_BK.shape[1]):
        before_B, less_B = half_BK[:, k - 1], exact_BK[:, k] < exact_BK[:, k - 1]
        half_BK[:, k] = np.minimum(half_BK[:, k], np.where(less_B, _step_down(before_B), before_B))
    return half_BK, np.take_along_axis(classes_BK, order, axis=1)


def _step_down(values: NDArray[np.float16]) -> NDArray[np.float16]:
    """The next smaller finite float16."""
    with np.errstate(over="ignore"):
        lower: NDArray[np.float16] = np.nextafter(values, np.float16(-np.inf))
    return np.maximum(lower, np.float16(-LARGEST))
