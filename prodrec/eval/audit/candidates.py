"""The evidence of every row, for the few classes that it may belong to.

Scores that are no probabilities are made into some: p = softmax(a s + log n), with n_c the rows of a class, and a the
factor of FACTORS with the largest likelihood of the labels (out of fold, so nothing is fitted to itself). What counts
is log(p + FLOOR): beyond it a photo that is unlike all photos, or a long title, would outvote everything.

Shapes: N rows, R of a chunk, J candidates of a row, E kinds of evidence, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BEST_OF_EACH = 4
"""Candidates that each kind of evidence names."""
FLOOR = 1e-3
FACTORS = tuple(2.0 ** (octave / 2) for octave in range(-16, 5))
CALIBRATED_ROWS = 4096
"""Rows, drawn at random, on which a factor is chosen."""
CHUNK_SCORES = 2**23
"""Scores of one kind that are in memory at a time."""


class Evidence(Protocol):
    """A kind of evidence that is fitted on labels, and scores rows by what the other folds contain.

    is_calibrated: whether the scores are logarithms of shares already
    """

    is_calibrated: bool

    def fit(self, class_N: NDArray[np.int64]) -> None: ...
    def scores(self, fold: int, rows_R: NDArray[np.int64]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates of some rows; the first one of a row is its label.

    rows_N:     the rows of the dataset
    class_NJ:   int32; −1 for a candidate that repeats an earlier one
    score_NJE:  float32, the evidence, as its difference to that for the label
    label_NE:   float32, the evidence for the label
    kinds:      the names of the kinds of evidence
    """

    rows_N: NDArray[np.int64]
    class_NJ: NDArray[np.int32]
    score_NJE: NDArray[np.float32]
    label_NE: NDArray[np.float32]
    kinds: tuple[str, ...]

    def take(self, which_R: NDArray[np.int64]) -> Candidates:
        """Return some of the rows, by position."""
        return Candidates(
            self.rows_N[which_R], self.class_NJ[which_R], self.score_NJE[which_R], self.label_NE[which_R], self.kinds
        )


def collect_candidates(
    evidence: Mapping[str, Evidence],
    labels_N: NDArray[np.int64],
    fold_N: NDArray[np.int64],
    *,
    classes: int,
    rows: NDArray[np.int64] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Candidates:
    """Fit all evidence on `labels_N`, and return the candidates of the rows with a label, in the order of the rows.

    rows: only these rows, ascending; all rows are fitted on nevertheless
    """
    log_rows_C = np.log(np.maximum(np.bincount(labels_N[labels_N >= 0], minlength=classes), 0.5)).astype(np.float32)
    for one in evidence.values():
        one.fit(labels_N)
    factors = [
        None if one.is_calibrated else _choose_factor(one, labels_N, fold_N, log_rows_C) for one in evidence.values()
    ]
    rows = np.flatnonzero(labels_N >= 0).astype(np.int64) if rows is None else rows
    seen_C = np.bincount(labels_N[labels_N >= 0], minlength=classes) > 0
    width = 1 + min(BEST_OF_EACH, int(seen_C.sum())) * len(evidence)
    class_NJ = np.full((len(rows), width), -1, np.int32)
    score_NJE = np.zeros((len(rows), width, len(evidence)), np.float32)
    label_NE = np.zeros((len(rows), len(evidence)), np.float32)
    step = max(1, CHUNK_SCORES // max(1, classes))
    for fold in range(int(fold_N.max(initial=0)) + 1):
        places = np.flatnonzero(fold_N[rows] == fold)
        for start in range(0, len(places), step):
            place_R = places[start : start + step]
            row_R = rows[place_R]
            scores = [
                _log_shares(one.scores(fold, row_R), factor, log_rows_C)
                for one, factor in zip(evidence.values(), factors, strict=True)
            ]
            class_RJ = _choose(scores, labels_N[row_R], seen_C)
            class_NJ[place_R] = class_RJ
            at_RJ = np.maximum(class_RJ, 0)
            for kind, scores_RC in enumerate(scores):
                found_RJ = np.take_along_axis(scores_RC, at_RJ, axis=1)
                score_NJE[place_R, :, kind] = found_RJ - found_RJ[:, :1]
                label_NE[place_R, kind] = found_RJ[:, 0]
            advance(len(row_R))
    return Candidates(rows, class_NJ, score_NJE, label_NE, tuple(evidence))


def _choose_factor(
    one: Evidence, labels_N: NDArray[np.int64], fold_N: NDArray[np.int64], log_rows_C: NDArray[np.float32]
) -> float:
    """Return the factor with the largest likelihood of the labels."""
    labelled = np.flatnonzero(labels_N >= 0)
    sample = np.random.default_rng(0).permutation(labelled)[:CALIBRATED_ROWS]
    losses = np.zeros(len(FACTORS))
    for fold in np.unique(fold_N[sample]).tolist():
        row_R = np.sort(sample[fold_N[sample] == fold])
        scores_RC = one.scores(fold, row_R)
        for i, factor in enumerate(FACTORS):
            p_RC = _softmax(factor * scores_RC + log_rows_C)
            losses[i] -= np.log(p_RC[np.arange(len(row_R)), labels_N[row_R]] + FLOOR).sum()
    return float(FACTORS[int(losses.argmin())])


def _log_shares(
    scores_RC: NDArray[np.float32], factor: float | None, log_rows_C: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return log(p + FLOOR); 0 for rows without evidence."""
    if factor is None:
        return scores_RC
    says_nothing_R = np.ptp(scores_RC, axis=1) == 0
    shares_RC: NDArray[np.float32] = np.log(_softmax(factor * scores_RC + log_rows_C) + np.float32(FLOOR))
    shares_RC[says_nothing_R] = 0
    return shares_RC


def _softmax(scores_RC: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials_RC = np.exp(scores_RC - scores_RC.max(axis=1, keepdims=True))
    shares_RC: NDArray[np.float32] = exponentials_RC / exponentials_RC.sum(axis=1, keepdims=True)
    return shares_RC


def _choose(
    scores: Sequence[NDArray[np.float32]], label_R: NDArray[np.int64], seen_C: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return the label and the best classes of every kind; −1 for repeats and for evidence that is equal for all."""
    columns = [label_R.astype(np.int32)[:, None]]
    count = min(BEST_OF_EACH, int(seen_C.sum()))
    for scores_RC in scores:
        masked_RC = np.where(seen_C, scores_RC, -np.inf)
        best_RK = np.argpartition(-masked_RC, count - 1, axis=1)[:, :count].astype(np.int32)
        best_RK[np.ptp(scores_RC, axis=1) == 0] = -1
        columns.append(best_RK)
    class_RJ = np.concatenate(columns, axis=1)
    is_repeat_RJ = (class_RJ[:, :, None] == class_RJ[:, None, :]).astype(bool)
    is_repeat_RJ = np.tril(is_repeat_RJ, -1).any(axis=2)
    class_RJ[is_repeat_RJ] = -1
    return class_RJ
