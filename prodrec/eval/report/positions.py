"""The position of the true class in the ordering of a row's classes by score.

Position 0 is the best class. A prediction is correct at k if the true class has a position below k. Of classes with
equal scores, the one with the lower index comes first; results are therefore reproducible.

Shapes: R rows; C classes of a level; K best classes stored per row in a top-k file; G segments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def true_position(scores_RC: NDArray[np.floating], label_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of the true class among all classes, int64 [R]."""
    true_R1 = np.take_along_axis(scores_RC, label_R[:, None], axis=1)
    equal_RC = scores_RC == true_R1
    equal_RC &= np.arange(scores_RC.shape[1]) < label_R[:, None]
    position_R: NDArray[np.int64] = (scores_RC > true_R1).sum(axis=1) + equal_RC.sum(axis=1)
    return position_R


def true_position_in_top_k(
    scores_RK: NDArray[np.floating], classes_RK: NDArray[np.int32], label_R: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the position of the true class among the K stored classes, int64 [R]; K if it is not stored.

    A row whose true class is not stored is thus wrong for every k ≤ K.
    """
    true_RK = classes_RK == label_R[:, None]
    true_R1 = np.where(true_RK, scores_RK, np.inf).min(axis=1, keepdims=True)
    before_RK = scores_RK > true_R1
    before_RK |= (scores_RK == true_R1) & (classes_RK < label_R[:, None])
    position_R: NDArray[np.int64] = np.where(true_RK.any(axis=1), before_RK.sum(axis=1), classes_RK.shape[1])
    return position_R


def true_position_above_top_k(
    scores_RK: NDArray[np.floating], ancestor_RK: NDArray[np.int32], label_R: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the position of the true class at a level above the stored classes, int64 [R].

    ancestor_RK: the class at the upper level of each stored class. The score of an upper class is log Σ exp over the
    stored classes below it. The position is K if no class below the true one is stored.
    """
    rows, stored = ancestor_RK.shape
    segments = segment_rows_by_class(ancestor_RK)
    row_G, class_G = segments.row_G, segments.class_G
    sorted_RK = np.take_along_axis(scores_RK, segments.order_RK, axis=1)
    score_G = _log_sum_exp(sorted_RK.reshape(1, -1), segments.start_G)[0]
    true_G = class_G == label_R[row_G]
    true_R = np.full(rows, np.inf)
    true_R[row_G[true_G]] = score_G[true_G]
    before_G = (score_G > true_R[row_G]) | ((score_G == true_R[row_G]) & (class_G < label_R[row_G]))
    return np.where(np.isinf(true_R), stored, np.bincount(row_G[before_G], minlength=rows))


class RowSegments(NamedTuple):
    """The K classes of every row sorted into G segments of equal classes, ordered by row and then by class.

    order_RK: int64, the sorting order of each row; start_G: int64, first index of each segment in the flattened R·K
    sorted classes; row_G, class_G: int64, row and class of each segment.
    """

    order_RK: NDArray[np.int64]
    start_G: NDArray[np.int64]
    row_G: NDArray[np.int64]
    class_G: NDArray[np.int64]


def segment_rows_by_class(class_RK: NDArray[np.int32]) -> RowSegments:
    """Sort the classes of every row into segments of equal classes."""
    order_RK = np.argsort(class_RK, axis=1)
    sorted_RK = np.take_along_axis(class_RK, order_RK, axis=1)
    starts_RK = np.ones(class_RK.shape, dtype=bool)
    np.not_equal(sorted_RK[:, 1:], sorted_RK[:, :-1], out=starts_RK[:, 1:])
    start_G = np.flatnonzero(starts_RK)
    return RowSegments(order_RK, start_G, start_G // class_RK.shape[1], sorted_RK.ravel()[start_G].astype(np.int64))


class LevelSegments(NamedTuple):
    """The C classes of a level sorted into G segments, one for each class of an upper level that has any of them.

    order_C: int64, the sorting order; class_G: int32, the upper class of each segment; start_G: int64, its first index
    in the sorted classes.
    """

    order_C: NDArray[np.int64]
    class_G: NDArray[np.int32]
    start_G: NDArray[np.int64]


def segment_level(ancestor_C: NDArray[np.int32]) -> LevelSegments:
    """Sort the classes of a level by their class at an upper level, `ancestor_C`."""
    order_C = np.argsort(ancestor_C, kind="stable")
    return LevelSegments(order_C, *np.unique(ancestor_C[order_C], return_index=True))


def sum_probabilities(scores_RC: NDArray[np.floating], segments: LevelSegments, classes: int) -> NDArray[np.float64]:
    """Return log Σ exp of the scores below each of `classes` upper classes, float64 [R, classes].

    An upper class without classes below it has -inf.
    """
    sums_RU = np.full((len(scores_RC), classes), -np.inf)
    sums_RU[:, segments.class_G] = _log_sum_exp(scores_RC[:, segments.order_C], segments.start_G)
    return sums_RU


def _log_sum_exp(scores_RC: NDArray[np.floating], start_G: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log Σ exp over segments of columns; the maximum of each segment is subtracted first."""
    largest_RG = np.maximum.reduceat(scores_RC, start_G, axis=1).astype(np.float64)
    lengths_G = np.diff(np.r_[start_G, scores_RC.shape[1]])
    powers_RC = np.exp(scores_RC - np.repeat(largest_RG, lengths_G, axis=1))
    sums_RG: NDArray[np.float64] = largest_RG + np.log(np.add.reduceat(powers_RC, start_G, axis=1))
    return sums_RG
