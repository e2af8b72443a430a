"""Rows of which only the best scores are kept, for catalogues of any size: nothing here holds rows × categories.

A kept score counts by how far it is above the smallest one kept of its row and level; an absent score is read as that
smallest one, so as 0, which is also what the paper puts outside R_c. The softmax runs over the kept categories of the
row: what was not kept scores less than all of them and cannot be refined. A row whose true category was not kept says
nothing about its level and is left out of its loss.

Shapes: N rows; L levels; K kept of a level; n categories; G softmax groups; T their members, one group after the other;
E products of a weight and a score; P parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.pattern import Pattern, expand, from_keys
from prodrec.eval.refine.tree import Tree

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BYTES_OF_SCRATCH = 128 * 2**20


@dataclass(frozen=True)
class KeptRows:
    """By level the category numbers and relative scores (≥ 0) that were kept, N×K; labels_NL: category numbers."""

    tree: Tree
    categories: tuple[NDArray[np.int32], ...]
    scores: tuple[NDArray[np.float32], ...]
    labels_NL: NDArray[np.int64]
    fold_N: NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.labels_NL)

    def take(self, pick: Any) -> KeptRows:
        return KeptRows(
            self.tree,
            tuple(which[pick] for which in self.categories),
            tuple(values[pick] for values in self.scores),
            self.labels_NL[pick],
            self.fold_N[pick],
        )

    def without(self, fold: int) -> KeptRows:
        return self.take(self.fold_N != fold)

    def only(self, fold: int) -> KeptRows:
        return self.take(self.fold_N == fold)

    def rows_by_category(self, n: int) -> NDArray[np.int64]:
        """How many rows every category has: int64 [n]."""
        return np.bincount(self.labels_NL.ravel(), minlength=n)

    def in_pieces(self) -> Iterator[KeptRows]:
        """Pieces whose scores, spread out over all categories, fit into a small scratch."""
        step = max(1, BYTES_OF_SCRATCH // (4 * self.tree.n))
        for start in range(0, self.count, step):
            yield self.take(slice(start, start + step))


def relative(scores_RK: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each kept score is above the smallest kept one of its row."""
    found: NDArray[np.float32] = scores_RK - scores_RK.min(axis=1, keepdims=True)
    return found


def together(pieces: Sequence[KeptRows]) -> KeptRows:
    """All pieces as one."""
    return KeptRows(
        pieces[0].tree,
        tuple(np.concatenate(parts) for parts in zip(*(piece.categories for piece in pieces), strict=True)),
        tuple(np.concatenate(parts) for parts in zip(*(piece.scores for piece in pieces), strict=True)),
        np.concatenate([piece.labels_NL for piece in pieces]),
        np.concatenate([piece.fold_N for piece in pieces]),
    )


@dataclass(frozen=True)
class Design:
    """Softmax groups and the weights that make their members' scores: z_T = matrix_TP @ w_P.

    starts_G: where each group begins among the members; true_G: its true member.
    """

    matrix: csr_array
    starts_G: NDArray[np.int64]
    true_G: NDArray[np.int64]


class KeptLoss:
    """−Σ log P(true category) over the groups of a design."""

    def __init__(self, design: Design) -> None:
        self.design, self.size = design, design.matrix.shape[1]
        self._lengths_G = np.diff(np.r_[design.starts_G, design.matrix.shape[0]])

    def evaluate(self, values_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        design = self.design
        if not len(design.starts_G):
            return 0.0, np.zeros(self.size)
        matrix = design.matrix.astype(dtype, copy=False)
        z_T = matrix @ values_P.astype(dtype)
        z_T -= np.repeat(np.maximum.reduceat(z_T, design.starts_G), self._lengths_G)
        true_G = z_T[design.true_G].astype(np.float64)
        np.exp(z_T, out=z_T)
        sum_G = np.add.reduceat(z_T, design.starts_G, dtype=np.float64)
        z_T /= np.repeat(sum_G, self._lengths_G).astype(dtype)
        z_T[design.true_G] -= 1
        return float((np.log(sum_G) - true_G).sum()), (matrix.T @ z_T).astype(np.float64)


def level_losses(rows: KeptRows, pattern: Pattern) -> Sequence[tuple[slice, KeptLoss]]:
    """A loss for every level: the softmax over the kept categories of the level."""
    found, spread = [], _Spread()
    for at in range(pattern.tree.depth):
        true_NK = rows.categories[at] == rows.labels_NL[:, at, None]
        told = true_NK.any(axis=1)
        k, mine = rows.categories[at].shape[1], rows.take(told)
        pieces = [_level_matrix(piece, pattern, at, spread.over(piece)) for piece in mine.in_pieces()]
        matrix = _stacked(pieces, pattern.of_level(at))
        starts = np.arange(mine.count, dtype=np.int64) * k
        found.append((pattern.of_level(at), KeptLoss(Design(matrix, starts, starts + true_NK[told].argmax(axis=1)))))
    return found


def related_loss(rows: KeptRows, pattern: Pattern) -> KeptLoss:
    """The loss of S eq. 2 as printed: the softmax over the kept categories inside R_c, whatever their level."""
    matrices, lengths, true, members, spread = [], [], [], 0, _Spread()
    for piece in rows.in_pieces():
        told = [(which == label[:, None]).any(axis=1) for which, label in _by_level(piece)]
        row_G = np.concatenate([np.flatnonzero(mine) for mine in told])
        category_G = np.concatenate([piece.labels_NL[mine, at] for at, mine in enumerate(told)])
        matrix, length_G, true_G = _related_matrix(piece, pattern, row_G, category_G, spread.over(piece))
        true.append(true_G + members)
        members += matrix.shape[0]
        matrices.append(matrix)
        lengths.append(length_G)
    length_G = np.concatenate(lengths)
    starts = np.cumsum(length_G) - length_G
    return KeptLoss(Design(_stacked(matrices, slice(0, pattern.size)), starts, np.concatenate(true)))


def kept_scores(
    rows: KeptRows, pattern: Pattern, values_P: NDArray[np.float64], normaliser: str
) -> list[NDArray[np.float32]]:
    """Refined scores of the kept categories, N×K by level: w_c · f_c, or log P(c) of eq. 2."""
    pieces: list[list[NDArray[np.float32]]] = []
    values, spread = values_P.astype(np.float32), _Spread()
    for piece in rows.in_pieces():
        f_Nn = spread.over(piece)
        if normaliser == "level":
            parts = [
                (_level_matrix(piece, pattern, at, f_Nn), pattern.of_level(at)) for at in range(pattern.tree.depth)
            ]
            pieces.append([(m @ values[cut]).reshape(piece.count, -1) for m, cut in parts])
            continue
        found = []
        for which, _ in _by_level(piece):
            row_G = np.repeat(np.arange(piece.count), which.shape[1])
            matrix, length_G, true_G = _related_matrix(piece, pattern, row_G, which.ravel().astype(np.int64), f_Nn)
            starts, z_T = np.cumsum(length_G) - length_G, matrix @ values
            largest_G = np.maximum.reduceat(z_T, starts)
            sum_G = np.add.reduceat(np.exp(z_T - np.repeat(largest_G, length_G)), starts)
            found.append((z_T[true_G] - largest_G - np.log(sum_G)).reshape(which.shape))
        pieces.append(found)
    return [np.concatenate([piece[at] for piece in pieces]) for at in range(pattern.tree.depth)]


def seen_together(rows: KeptRows, most: int) -> Pattern:
    """R_c of the first fit: for every category c and level the `most` categories seen beside c, c and its ancestors.

    Seen beside c: by the sum of their relative scores in the rows whose true category is c; ties towards the lower
    index. A category without rows keeps itself and its ancestors.
    """
    from scipy.sparse import csr_array

    tree = rows.tree
    own = np.arange(tree.n, dtype=np.int64)
    keys, above = [own * tree.n + own], tree.parent_n
    while (above >= 0).any():
        have = above >= 0
        keys.append(own[have] * tree.n + above[have])
        above = np.where(have, tree.parent_n[np.maximum(above, 0)], -1)
    each = np.arange(rows.count)
    for labels_N in rows.labels_NL.T:
        truth = csr_array((np.ones(rows.count, np.float32), (labels_N, each)), shape=(tree.n, rows.count))
        for which, values in zip(rows.categories, rows.scores, strict=True):
            bounds = np.arange(rows.count + 1) * which.shape[1]
            kept = csr_array((values.ravel(), which.ravel(), bounds), shape=(rows.count, tree.n))
            together = (truth @ kept).tocoo()
            order = np.lexsort((together.col, -together.data, together.row))
            row, column = together.row[order].astype(np.int64), together.col[order].astype(np.int64)
            place = np.arange(len(row)) - np.searchsorted(row, row)
            keys.append((row * tree.n + column)[place < most])
    return from_keys(tree, np.concatenate(keys))


def _by_level(rows: KeptRows) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    yield from zip(rows.categories, rows.labels_NL.T, strict=True)


class _Spread:
    """Relative scores over all categories, 0 where absent: one scratch for piece after piece, of which only what was
    written is wiped (a fresh one for each would be rows × categories of zeros in all)."""

    def __init__(self) -> None:
        self._flat = np.zeros(0, dtype=np.float32)
        self._written: list[NDArray[np.int64]] = []

    def over(self, rows: KeptRows) -> NDArray[np.float32]:
        """N×n; good until it is called again."""
        size = rows.count * rows.tree.n
        for places in self._written:
            self._flat[places] = 0
        if len(self._flat) < size:
            self._flat = np.zeros(size, dtype=np.float32)
        starts = np.arange(rows.count, dtype=np.int64)[:, None] * rows.tree.n
        self._written = [starts + which for which in rows.categories]
        for places, values in zip(self._written, rows.scores, strict=True):
            self._flat[places] = values
        return self._flat[:size].reshape(rows.count, rows.tree.n)


def _level_matrix(rows: KeptRows, pattern: Pattern, at: int, f_Nn: NDArray[np.float32]) -> csr_array:
    """The design of one level: a line for each kept category of each row, over the parameters of the level."""
    which = rows.categories[at]
    row_T, category_T = np.repeat(np.arange(rows.count), which.shape[1]), which.ravel().astype(np.int64)
    member, row_E, parameter_E = _expanded(pattern, row_T, category_T)
    values_E = f_Nn[row_E, pattern.columns_P[parameter_E]]
    part = pattern.of_level(at)
    return _matrix(values_E, member, parameter_E - part.start, len(row_T), part.stop - part.start)


def _related_matrix(
    rows: KeptRows,
    pattern: Pattern,
    row_G: NDArray[np.int64],
    category_G: NDArray[np.int64],
    f_Nn: NDArray[np.float32],
) -> tuple[csr_array, NDArray[np.int64], NDArray[np.int64]]:
    """Groups (row, c): a line for each kept category t of R_c, over w_t inside R_c; their lengths, and where c is."""
    kept = np.zeros((rows.count, rows.tree.n), dtype=bool)
    for which in rows.categories:
        np.put_along_axis(kept, which, True, axis=1)
    group_T, _, parameter_T = _expanded(pattern, np.arange(len(row_G)), category_G)
    t_T = pattern.columns_P[parameter_T].astype(np.int64)
    there = kept[row_G[group_T], t_T]
    group_T, t_T = group_T[there], t_T[there]
    member, group_E, parameter_E = _expanded(pattern, group_T, t_T)
    column_E = pattern.columns_P[parameter_E].astype(np.int64)
    values_E = f_Nn[row_G[group_E], column_E]
    inside = (values_E != 0) & pattern.find(category_G[group_E] * pattern.tree.n + column_E)[1]
    matrix = _matrix(values_E[inside], member[inside], parameter_E[inside], len(group_T), pattern.size)
    true_G = np.flatnonzero(t_T == category_G[group_T])
    return matrix, np.bincount(group_T, minlength=len(row_G)), true_G


def _expanded(
    pattern: Pattern, tag_T: NDArray[np.int64], category_T: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For members (tag, category) all parameters of the category: (member, tag, parameter) of each."""
    starts, ends = pattern.bounds_n1[category_T], pattern.bounds_n1[category_T + 1]
    member_E = np.repeat(np.arange(len(category_T)), ends - starts)
    return member_E, tag_T[member_E], expand(starts, ends)


def _matrix(
    values_E: NDArray[np.float32], line_E: NDArray[np.int64], parameter_E: NDArray[np.int64], lines: int, size: int
) -> csr_array:
    """A sparse matrix from products in the order of its lines, without those that are 0."""
    from scipy.sparse import csr_array

    some = values_E != 0
    bounds = np.r_[0, np.cumsum(np.bincount(line_E[some], minlength=lines))]
    narrow = np.int32 if max(size, len(values_E)) < 2**31 else np.int64
    return csr_array((values_E[some], parameter_E[some].astype(narrow), bounds.astype(narrow)), shape=(lines, size))


def _stacked(matrices: Sequence[csr_array], part: slice) -> csr_array:
    from scipy.sparse import csr_array, vstack

    if not matrices:
        return csr_array((0, part.stop - part.start), dtype=np.float32)
    return vstack(matrices, format="csr")
