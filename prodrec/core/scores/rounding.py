"""Convert scores and features to float16, and keep the order of the largest scores.

Shapes: B rows, C classes, K largest scores, M = min(C, TOP + 1) classes whose order is kept, R rows that are corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import ProdrecError
from prodrec.core.scores.schema import MAX_FLOAT16

TOP = 10
"""Number of the largest scores of a row that keep their order. Reports show top-1, top-3 and top-5 by default."""


class BatchRows(NamedTuple):
    """The rows of a batch, as error messages name them."""

    run: str
    ids: Sequence[str]
    rows: NDArray[np.int64]


def to_float16(values: NDArray[Any], name: str, batch: BatchRows) -> NDArray[np.float16]:
    """Return `values`, one row for each row of `batch`, as float16.

    Raise ProdrecError with `name` and the first row that contains NaN, infinity or a number too large for float16.
    """
    largest = np.abs(values).max(axis=1, initial=0.0)
    wrong = np.flatnonzero(~(largest <= MAX_FLOAT16))
    if len(wrong):
        i = int(wrong[0])
        problem = "are not finite (NaN or infinite)"
        if np.isfinite(largest[i]):
            problem = f"reach {largest[i]:.4g}, and float16 holds at most {MAX_FLOAT16:.0f}"
        raise ProdrecError(
            f"the {name} of row {batch.rows[i]} (id {batch.ids[i]}) {problem}; nothing was written. "
            f"The run {batch.run} has most likely diverged: train it with a smaller learning rate."
        )
    return values.astype(np.float16)


def restore_order(exact_BC: NDArray[Any], half_BC: NDArray[np.float16]) -> NDArray[np.float16]:
    """Restore, in place, the order that the TOP largest scores of every row had before rounding. Return `half_BC`.

    Float16 has 11 significant bits: scores from 8 to 16 that differ by less than 0.008 can become equal, and the lower
    class would win the tie. Of two top scores that rounding made equal, the smaller one is lowered to the next float16.
    All other scores are lowered, where needed, to stay below these, or equal if they were equal before rounding.
    """
    size = min(TOP + 1, exact_BC.shape[1])
    class_BM = np.argpartition(-exact_BC, size - 1, axis=1)[:, :size].astype(np.int32)
    exact_BM, half_BM = np.take_along_axis(exact_BC, class_BM, axis=1), np.take_along_axis(half_BC, class_BM, axis=1)
    sorted_BM, sorted_class_BM = sort_descending(exact_BM, half_BM, class_BM)
    changed = np.flatnonzero((np.take_along_axis(half_BC, sorted_class_BM, axis=1) != sorted_BM).any(axis=1))
    if len(changed):
        smallest_R1 = sorted_BM[changed, -1:]
        is_below_RC = exact_BC[changed] < exact_BM[changed].min(axis=1, keepdims=True)
        half_RC = np.minimum(half_BC[changed], np.where(is_below_RC, _next_lower(smallest_R1), smallest_R1))
        np.put_along_axis(half_RC, sorted_class_BM[changed], sorted_BM[changed], axis=1)
        half_BC[changed] = half_RC
    return half_BC


def sort_descending(
    exact_BK: NDArray[Any], half_BK: NDArray[np.float16], class_BK: NDArray[np.int32]
) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Sort rounded scores and their classes by descending exact score; of equal scores, the lower class comes first.

    Rounded scores are lowered where needed. They are then equal only where the exact scores are equal, or at the lowest
    float16.
    """
    order = np.lexsort((class_BK, -exact_BK), axis=-1)
    exact_BK, half_BK = np.take_along_axis(exact_BK, order, axis=1), np.take_along_axis(half_BK, order, axis=1)
    for k in range(1, half_BK.shape[1]):
        previous_B, is_smaller_B = half_BK[:, k - 1], exact_BK[:, k] < exact_BK[:, k - 1]
        half_BK[:, k] = np.minimum(half_BK[:, k], np.where(is_smaller_B, _next_lower(previous_B), previous_B))
    return half_BK, np.take_along_axis(class_BK, order, axis=1)


def _next_lower(values: NDArray[np.float16]) -> NDArray[np.float16]:
    """Return the next lower float16 of each value; the lowest finite float16 stays."""
    with np.errstate(over="ignore"):
        lower: NDArray[np.float16] = np.nextafter(values, np.float16(-np.inf))
    return np.maximum(lower, np.float16(-MAX_FLOAT16))
