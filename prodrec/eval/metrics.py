"""Judges every row of score files and counts by leaf what was right: numpy only, in pieces, at constant memory.

Shapes: R rows of a piece, C classes of a level, K best classes kept in a top-k file.

A row is right at k when fewer than k classes come before its true one. Ties are broken towards the lower class index,
which keeps a result reproducible; random scores are not favoured by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prodrec.core.errors import Mismatch
from prodrec.core.scores import ScoreChunk, Scores

Question = tuple[str, int]
"""(level, k): is the true class of the level among the k best?"""


@dataclass
class Tally:
    """Test images of every leaf, and how many of them are right by (level, k): int64 [leaves] each."""

    images: NDArray[np.int64]
    right: dict[Question, NDArray[np.int64]]


@dataclass
class PairTally:
    """Images, by true leaf and (level, k), that only the second run has right (better) or only the first (worse)."""

    better: dict[Question, NDArray[np.int64]]
    worse: dict[Question, NDArray[np.int64]]


@dataclass
class Judged:
    """The verdict on some rows: how many classes come before the true one, by level."""

    rows_R: NDArray[np.int64]
    ids_R: NDArray[np.bytes_]
    leaf_R: NDArray[np.int32]
    ranks: dict[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.rows_R)

    def split(self, at: int) -> tuple[Judged, Judged]:
        """The first `at` rows and the others."""
        parts = []
        for cut in (slice(None, at), slice(at, None)):
            ranks = {level: rank_R[cut] for level, rank_R in self.ranks.items()}
            parts.append(Judged(self.rows_R[cut], self.ids_R[cut], self.leaf_R[cut], ranks))
        return parts[0], parts[1]

    def same_rows(self, other: Judged) -> bool:
        """Whether both judge the same products with the same truth."""
        return (
            np.array_equal(self.rows_R, other.rows_R)
            and np.array_equal(self.ids_R, other.ids_R)
            and np.array_equal(self.leaf_R, other.leaf_R)
        )


@dataclass
class Counted:
    """What one pass over some files found: a tally each, and one for every pair that judged the same rows."""

    tallies: list[Tally]
    pairs: dict[tuple[int, int], PairTally] = field(default_factory=dict)


def count(
    files: Sequence[Scores],
    split: str,
    questions: Sequence[Question],
    *,
    pairs: Sequence[tuple[int, int]] = (),
    rows: int | None = None,
) -> Counted:
    """Read all `files` side by side, once, and count.

    `pairs` (first, second) of file numbers are compared row by row where both have the same rows as the first file of
    all; the others are left out of the answer. `rows` is the size of a piece. Raises what `Scores.chunks` raises, and
    Mismatch for a file without scores of the leaves.
    """
    leaves = len(files[0].taxonomy.leaves)
    levels = list(dict.fromkeys(level for level, _ in questions))
    tallies = [Tally(_zeros(leaves), {q: _zeros(leaves) for q in questions}) for _ in files]
    pair_tallies = {
        pair: PairTally({q: _zeros(leaves) for q in questions}, {q: _zeros(leaves) for q in questions})
        for pair in pairs
    }
    in_step = set(range(len(files)))
    for pieces in _side_by_side([judge(file, split, levels, rows=rows) for file in files]):
        first = pieces[0]
        for i, piece in enumerate(pieces):
            if piece is None:
                agree = first is None
            else:
                agree = first is not None and piece.same_rows(first)
                _add(tallies[i], piece)
            if not agree:
                in_step.discard(i)
        for pair in [pair for pair in pair_tallies if not in_step.issuperset(pair)]:
            del pair_tallies[pair]
        for (i, j), pair_tally in pair_tallies.items():
            a, b = pieces[i], pieces[j]
            if a is not None and b is not None:
                _compare(pair_tally, a, b)
    return Counted(tallies, pair_tallies)


def judge(scores: Scores, split: str, levels: Sequence[str], *, rows: int | None = None) -> Iterator[Judged]:
    """Ranks of the true class at every level, piece by piece.

    A level without scores of its own gets the logarithm of the summed exponentials of the leaves under each class
    (`own_scores` tells which). In a top-k file only the kept leaves are summed, and a class without any comes last.
    """
    leaf = scores.levels[-1]
    if leaf not in scores.scored_levels:
        raise Mismatch(
            f"{scores.path} has scores of {', '.join(scores.scored_levels)} only; expected the leaves ({leaf})."
        )
    wanted = tuple(dict.fromkeys(level if own_scores(scores, level) else leaf for level in levels))
    ancestors = scores.taxonomy.ancestors()
    for chunk in scores.chunks(split, levels=wanted, rows=rows):
        ranks = {}
        for level in levels:
            at = scores.levels.index(level)
            label_R = chunk.labels_RL[:, at].astype(np.int64)
            if own_scores(scores, level):
                ranks[level] = _ranks(chunk, level, label_R)
            elif chunk.classes is None:
                above_RC = sum_leaves(chunk.scores[leaf], ancestors[:, at], scores.taxonomy.count(level))
                ranks[level] = rank(above_RC, label_R)
            else:
                ranks[level] = rank_above(chunk.scores[leaf], ancestors[chunk.classes[leaf], at], label_R)
        yield Judged(chunk.rows_R, chunk.ids_R, chunk.labels_RL[:, -1], ranks)


def own_scores(scores: Scores, level: str) -> bool:
    """Whether the run scored this level itself (otherwise its scores are summed up from the leaves)."""
    return level in scores.scored_levels


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
    key_N = (np.arange(rows, dtype=np.int64)[:, None] << 32) + above_RK
    order_N = np.argsort(key_N, axis=None)
    key_N = key_N.ravel()[order_N]
    starts = np.flatnonzero(np.r_[True, key_N[1:] != key_N[:-1]])
    sums = _log_sum_exp(scores_RK.ravel()[order_N][None], starts)[0]
    row_G, class_G = key_N[starts] >> 32, key_N[starts] & (2**32 - 1)
    true_G = class_G == label_R[row_G]
    own_R = np.full(rows, np.inf)
    own_R[row_G[true_G]] = sums[true_G]
    before_G = (sums > own_R[row_G]) | ((sums == own_R[row_G]) & (class_G < label_R[row_G]))
    return np.where(np.isinf(own_R), kept, np.bincount(row_G[before_G], minlength=rows))


def sum_leaves(scores_RC: NDArray[np.floating], above_C: NDArray[np.int32], classes: int) -> NDArray[np.float64]:
    """log Σ exp of the leaves' scores under each of `classes` classes above (-inf for one without leaves)."""
    order_C = np.argsort(above_C, kind="stable")
    present, starts = np.unique(above_C[order_C], return_index=True)
    sums = np.full((len(scores_RC), classes), -np.inf)
    sums[:, present] = _log_sum_exp(scores_RC[:, order_C], starts)
    return sums


def _log_sum_exp(scores_RC: NDArray[np.floating], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """log Σ exp over runs of columns; each run's maximum is taken out first."""
    largest = np.maximum.reduceat(scores_RC, starts, axis=1).astype(np.float64)
    lengths = np.diff(np.r_[starts, scores_RC.shape[1]])
    powers = np.exp(scores_RC - np.repeat(largest, lengths, axis=1))
    sums: NDArray[np.float64] = largest + np.log(np.add.reduceat(powers, starts, axis=1))
    return sums


def _side_by_side(streams: Sequence[Iterator[Judged]]) -> Iterator[list[Judged | None]]:
    """Pieces of equal length from all streams; None for a stream that has ended."""
    heads: list[Judged | None] = [next(stream, None) for stream in streams]
    while any(head is not None for head in heads):
        length = min(len(head) for head in heads if head is not None)
        pieces: list[Judged | None] = []
        for i, head in enumerate(heads):
            if head is None:
                pieces.append(None)
                continue
            piece, rest = head.split(length)
            pieces.append(piece)
            heads[i] = rest if len(rest) else next(streams[i], None)
        yield pieces


def _add(tally: Tally, piece: Judged) -> None:
    leaves = len(tally.images)
    tally.images += np.bincount(piece.leaf_R, minlength=leaves)
    for (level, k), right in tally.right.items():
        right += np.bincount(piece.leaf_R[piece.ranks[level] < k], minlength=leaves)


def _compare(pair: PairTally, a: Judged, b: Judged) -> None:
    for level, k in pair.better:
        a_R, b_R = a.ranks[level] < k, b.ranks[level] < k
        leaves = len(pair.better[level, k])
        pair.better[level, k] += np.bincount(a.leaf_R[b_R & ~a_R], minlength=leaves)
        pair.worse[level, k] += np.bincount(a.leaf_R[a_R & ~b_R], minlength=leaves)


def _zeros(leaves: int) -> NDArray[np.int64]:
    return np.zeros(leaves, dtype=np.int64)
