"""Judges every row of a score file, in pieces: the place of the true class, and how a prediction lies in the tree.

Shapes: R rows of a piece, C classes of a level, K best classes kept in a top-k file, L levels.

A row is right at k when fewer than k classes come before its true one. Ties are broken towards the lower class index,
which keeps a result reproducible; random scores are not favoured by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.scores.chunk import ScoreChunk
from prodrec.core.scores.reader import Scores
from prodrec.eval.report.hierarchy import facts


@dataclass
class Judged:
    """The verdict on some rows.

    ranks: how many classes come before the true one, by level; a level that the run cannot tell is missing.
    states: code of every attribute in the file, 0 where the product has none (S eq. 7). state_ranks: how many states
    come before the true one, by scored attribute; only rows with a code above 0 mean anything.
    facts: how the prediction lies in the tree (hierarchy.facts).
    """

    rows_R: NDArray[np.int64]
    ids_R: NDArray[np.bytes_]
    leaf_R: NDArray[np.int32]
    ranks: dict[str, NDArray[np.int64]]
    states: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    state_ranks: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    facts: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows_R)

    def split(self, at: int) -> tuple[Judged, Judged]:
        """The first `at` rows and the others."""

        def cut(value: Any, part: slice) -> Any:
            return {name: array[part] for name, array in value.items()} if isinstance(value, dict) else value[part]

        first, others = (
            Judged(**{f.name: cut(getattr(self, f.name), part) for f in fields(self)})
            for part in (slice(None, at), slice(at, None))
        )
        return first, others

    def same_rows(self, other: Judged) -> bool:
        """Whether both judge the same products with the same truth."""
        return (
            np.array_equal(self.rows_R, other.rows_R)
            and np.array_equal(self.ids_R, other.ids_R)
            and np.array_equal(self.leaf_R, other.leaf_R)
            and all(np.array_equal(self.states[name], other.states[name]) for name in self.states.keys() & other.states)
        )


def judge(
    scores: Scores,
    split: str,
    levels: Sequence[str],
    *,
    attributes: Sequence[str] = (),
    hierarchy: bool = False,
    rows: int | None = None,
) -> Iterator[Judged]:
    """Ranks of the true class at every level that the run can tell, piece by piece; of attributes and facts if asked.

    A level without scores of its own gets the logarithm of the summed exponentials of the classes under each of its
    classes, taken from the deepest level that the run scored (usually the leaves; `source_of`). In a top-k file only
    the kept classes are summed, and a class without any comes last.
    """
    sources = {level: source for level in levels if (source := source_of(scores, level)) is not None}
    wanted = tuple(dict.fromkeys([*sources.values(), *(scores.scored_levels if hierarchy else ())]))
    above = {level: scores.taxonomy.above(source, level) for level, source in sources.items() if level != source}
    under = {level: Under.of(above_C) for level, above_C in above.items()} if scores.top_k is None else {}
    scored = [name for name in scores.scored_attributes if name in attributes]
    for chunk in scores.chunks(
        split, levels=wanted, rows=rows, attributes=bool(attributes), attribute_scores=bool(scored)
    ):
        ranks = {}
        for level, source in sources.items():
            label_R = chunk.labels_RL[:, scores.levels.index(level)].astype(np.int64)
            if level == source:
                ranks[level] = _ranks(chunk, level, label_R)
            elif chunk.classes is None:
                above_RC = sum_leaves(chunk.scores[source], under[level], scores.taxonomy.count(level))
                ranks[level] = rank(above_RC, label_R)
            else:
                ranks[level] = rank_above(chunk.scores[source], above[level][chunk.classes[source]], label_R)
        piece = Judged(chunk.rows_R, chunk.ids_R, chunk.labels_RL[:, -1], ranks)
        for at, attribute in enumerate(scores.attributes):
            if attribute.name in attributes and chunk.attributes_RA is not None:
                piece.states[attribute.name] = state_R = chunk.attributes_RA[:, at]
                if attribute.name in scored:
                    state_scores_RM = chunk.attribute_scores[attribute.name]
                    piece.state_ranks[attribute.name] = rank(
                        state_scores_RM, np.maximum(state_R.astype(np.int64) - 1, 0)
                    )
        if hierarchy:
            best = {level: best_class(chunk, level) for level in scores.scored_levels}
            piece.facts = facts(best, chunk.labels_RL, scores.taxonomy)
        yield piece


def own_scores(scores: Scores, level: str) -> bool:
    """Whether the run scored this level itself (otherwise its scores are summed up from a deeper one)."""
    return level in scores.scored_levels


def source_of(scores: Scores, level: str) -> str | None:
    """The level whose scores tell `level`: itself, else the deepest that was scored; None where that is not deeper."""
    if own_scores(scores, level):
        return level
    deepest = scores.scored_levels[-1] if scores.scored_levels else None
    if deepest is None or scores.levels.index(deepest) < scores.levels.index(level):
        return None
    return deepest


def best_class(chunk: ScoreChunk, level: str) -> NDArray[np.int64]:
    """The predicted class of `level`: the largest score, ties towards the lower class index. int64 [R]."""
    if chunk.classes is None:
        dense_R: NDArray[np.int64] = chunk.scores[level].argmax(axis=1)
        return dense_R
    scores_RK, classes_RK = chunk.scores[level], chunk.classes[level].astype(np.int64)
    largest = scores_RK == scores_RK.max(axis=1, keepdims=True)
    best_R: NDArray[np.int64] = np.where(largest, classes_RK, np.iinfo(np.int64).max).min(axis=1)
    return best_R


def _ranks(chunk: ScoreChunk, level: str, label_R: NDArray[np.int64]) -> NDArray[np.int64]:
    if chunk.classes is None:
        return rank(chunk.scores[level], label_R)
    return rank_kept(chunk.scores[level], chunk.classes[level], label_R)


def rank(scores_RC: NDArray[np.floating], label_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes come before the true one: larger scores, and equal ones of a lower class index. int64 [R]."""
    own_R1 = np.take_along_axis(scores_RC, label_R[:, None], axis=1)
    equal_RC = scores_RC == own_R1
    equal_RC &= np.arange(scores_RC.shape[1]) < label_R[:, None]
    before_R: NDArray[np.int64] = (scores_RC > own_R1).sum(axis=1) + equal_RC.sum(axis=1)
    return before_R


def rank_kept(
    scores_RK: NDArray[np.floating], classes_RK: NDArray[np.int32], label_R: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The same from the K best classes of every row; K where the true one is not among them.

    It counts as wrong then at every k that a top-k file can answer.
    """
    true_RK = classes_RK == label_R[:, None]
    own_R1 = np.where(true_RK, scores_RK, np.inf).min(axis=1, keepdims=True)
    before_RK = scores_RK > own_R1
    before_RK |= (scores_RK == own_R1) & (classes_RK < label_R[:, None])
    rank_R: NDArray[np.int64] = np.where(true_RK.any(axis=1), before_RK.sum(axis=1), classes_RK.shape[1])
    return rank_R


def rank_above(
    scores_RK: NDArray[np.floating], above_RK: NDArray[np.int32], label_R: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The same for a level above: above_RK is the class there of each kept leaf, whose exponentials are added up.

    K where no leaf of the true class was kept.
    """
    rows, kept = above_RK.shape
    order_RK, starts, row_G, class_G = together(above_RK)
    sums = _log_sum_exp(np.take_along_axis(scores_RK, order_RK, axis=1).reshape(1, -1), starts)[0]
    true_G = class_G == label_R[row_G]
    own_R = np.full(rows, np.inf)
    own_R[row_G[true_G]] = sums[true_G]
    before_G = (sums > own_R[row_G]) | ((sums == own_R[row_G]) & (class_G < label_R[row_G]))
    return np.where(np.isinf(own_R), kept, np.bincount(row_G[before_G], minlength=rows))


class Together(NamedTuple):
    """The K classes of every row in such an order that equal ones stand together, in G runs.

    order: int64 [R, K]; starts: int64 [G], where each run begins among all R·K; row and class of each run: int64 [G].
    """

    order_RK: NDArray[np.int64]
    starts: NDArray[np.int64]
    row_G: NDArray[np.int64]
    class_G: NDArray[np.int64]


def together(class_RK: NDArray[np.int32]) -> Together:
    """Bring equal classes of a row together; runs are in the order of rows and then of classes."""
    order_RK = np.argsort(class_RK, axis=1)
    sorted_RK = np.take_along_axis(class_RK, order_RK, axis=1)
    begins_RK = np.ones(class_RK.shape, dtype=bool)
    np.not_equal(sorted_RK[:, 1:], sorted_RK[:, :-1], out=begins_RK[:, 1:])
    starts = np.flatnonzero(begins_RK)
    return Together(order_RK, starts, starts // class_RK.shape[1], sorted_RK.ravel()[starts].astype(np.int64))


class Under(NamedTuple):
    """The C leaves in such an order that those under one class above stand together, for G classes that have any.

    order: int64 [C]; class, and where its leaves begin in that order: [G].
    """

    order_C: NDArray[np.int64]
    class_G: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, above_C: NDArray[np.int32]) -> Under:
        """From the class above every leaf."""
        order_C = np.argsort(above_C, kind="stable")
        return cls(order_C, *np.unique(above_C[order_C], return_index=True))


def sum_leaves(scores_RC: NDArray[np.floating], under: Under, classes: int) -> NDArray[np.float64]:
    """log Σ exp of the leaves' scores under each of `classes` classes above (-inf for one without leaves)."""
    sums = np.full((len(scores_RC), classes), -np.inf)
    sums[:, under.class_G] = _log_sum_exp(scores_RC[:, under.order_C], under.starts)
    return sums


def _log_sum_exp(scores_RC: NDArray[np.floating], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """log Σ exp over runs of columns; each run's maximum is taken out first."""
    largest = np.maximum.reduceat(scores_RC, starts, axis=1).astype(np.float64)
    lengths = np.diff(np.r_[starts, scores_RC.shape[1]])
    powers = np.exp(scores_RC - np.repeat(largest, lengths, axis=1))
    sums: NDArray[np.float64] = largest + np.log(np.add.reduceat(powers, starts, axis=1))
    return sums
