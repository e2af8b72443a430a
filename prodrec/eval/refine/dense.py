"""Rows with all scores in memory, and the loss of S eq. 3 on them where the normaliser is the level.

Scores stand feature-major in blocks of rows, so that the matrix products and the sums over few weights both read
memory in order. A level's weights are split in two: columns that many of its categories have go through one dense
product, the others through sums over a handful of weights for each category. For R_c = Ω everything is dense.

Shapes: B rows of a block; n categories; C categories of a level; S shared columns; E other weights; P parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.pattern import Pattern

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROWS_OF_A_BLOCK = 512

SHARED_FROM = 1 / 24
"""A column that this share of a level's categories has is multiplied densely: measured, a weight of a dense product
costs about 1/24 of one that stands alone."""


@dataclass
class DenseRows:
    """Rows in blocks, each of one fold. f_nB: scores of all levels side by side; labels_LB: category numbers."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(block.f_nB.shape[1] for block in self.blocks)

    def without(self, fold: int) -> DenseRows:
        """The rows of all other folds; nothing is copied."""
        return DenseRows([block for block in self.blocks if block.fold != fold])

    def only(self, fold: int) -> DenseRows:
        return DenseRows([block for block in self.blocks if block.fold == fold])

    def rows_by_category(self, n: int) -> NDArray[np.int64]:
        """How many rows every category has: int64 [n]."""
        return sum(
            (np.bincount(block.labels_LB.ravel(), minlength=n) for block in self.blocks), np.zeros(n, dtype=np.int64)
        )


@dataclass(frozen=True)
class Block:
    f_nB: NDArray[np.float32]
    labels_LB: NDArray[np.int64]
    fold: int = 0


def dense_rows(pieces: Iterable[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]]) -> DenseRows:
    """From pieces (scores R×n, category numbers R×L, folds R): blocks by fold, whatever the order of the rows."""
    waiting: dict[int, list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = {}
    rows = DenseRows()

    def close(fold: int) -> None:
        parts = waiting.pop(fold)
        scores = np.concatenate([part[0] for part in parts])
        labels = np.concatenate([part[1] for part in parts])
        for start in range(0, len(scores), ROWS_OF_A_BLOCK):
            cut = slice(start, start + ROWS_OF_A_BLOCK)
            rows.blocks.append(Block(np.ascontiguousarray(scores[cut].T), np.ascontiguousarray(labels[cut].T), fold))

    for scores_Rn, labels_RL, fold_R in pieces:
        for fold in np.unique(fold_R).tolist():
            mine = fold_R == fold
            waiting.setdefault(fold, []).append((scores_Rn[mine], labels_RL[mine]))
            if sum(len(part[0]) for part in waiting[fold]) >= ROWS_OF_A_BLOCK:
                close(fold)
    for fold in sorted(waiting):
        close(fold)
    rows.blocks.sort(key=lambda block: block.fold)
    return rows


class Scratch:
    """Memory that is used again for every block: on a busy machine new pages cost as much as the arithmetic."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, Any], NDArray[Any]] = {}

    def take(self, name: str, rows: int, columns: int, dtype: Any) -> NDArray[Any]:
        """An array rows×columns of any content."""
        flat = self._flat.get((name, dtype))
        if flat is None or len(flat) < rows * columns:
            flat = self._flat[name, dtype] = np.empty(rows * columns, dtype=dtype)
        return flat[: rows * columns].reshape(rows, columns)


@dataclass(frozen=True)
class LevelMatrix:
    """The weights of a level, ready to multiply: C×S, and C×n of those that stand alone, if any."""

    dense_CS: NDArray[Any]
    own: csr_array | None


@dataclass(frozen=True)
class LevelSums:
    """Sums over rows for every weight of a level, in float64: C×S, and by slot one of each category."""

    dense_CS: NDArray[np.float64]
    slots: list[NDArray[np.float64]]


class LevelProduct:
    """w_c · f_c for all categories c of one level, and the gradient of what was made of it."""

    def __init__(self, pattern: Pattern, at: int) -> None:
        tree, part = pattern.tree, pattern.of_level(at)
        self.first, self.count, self.size = int(tree.starts_L1[at]), tree.count(at), part.stop - part.start
        rows_P, columns_P = pattern.rows_P[part] - self.first, pattern.columns_P[part].astype(np.int64)
        having = np.bincount(columns_P, minlength=tree.n)
        shared = having >= max(1.0, SHARED_FROM * self.count)
        self.shared_S = np.flatnonzero(shared)
        # neighbouring columns, as those of the shallower levels are, are read where they stand
        whole = len(self.shared_S) and self.shared_S[-1] - self.shared_S[0] + 1 == len(self.shared_S)
        self._columns: Any = slice(self.shared_S[0], self.shared_S[-1] + 1) if whole else self.shared_S
        place_n = np.cumsum(shared) - 1
        dense_P = shared[columns_P]
        self._dense_at = np.flatnonzero(dense_P)
        self._dense_flat = rows_P[dense_P] * len(self.shared_S) + place_n[columns_P[dense_P]]
        self._own_at, self._n = np.flatnonzero(~dense_P), tree.n
        own_row, own_column = rows_P[self._own_at], columns_P[self._own_at]
        self._own_places = (own_column.astype(np.int32), np.searchsorted(own_row, np.arange(self.count + 1)))
        # the first weight of every category, the second of every category, …: sums over rows, without a copy of G
        place = np.arange(len(own_row)) - np.searchsorted(own_row, own_row)
        self._slots = [self._own_at[place == slot] for slot in range(int(place.max(initial=-1)) + 1)]
        self._slot_rows = [rows_P[slot] if len(slot) < self.count else None for slot in self._slots]
        self._slot_columns = [columns_P[slot] for slot in self._slots]
        self._scratch = Scratch()

    def prepare(self, values_P: NDArray[np.float64], dtype: Any) -> LevelMatrix:
        """The weights of the level (P of them) as matrices."""
        dense = np.zeros(self.count * len(self.shared_S), dtype=dtype)
        dense[self._dense_flat] = values_P[self._dense_at]
        own = None
        if self._slots:
            from scipy.sparse import csr_array

            own = csr_array((values_P[self._own_at].astype(dtype), *self._own_places), shape=(self.count, self._n))
        return LevelMatrix(dense.reshape(self.count, len(self.shared_S)), own)

    def no_sums(self) -> LevelSums:
        """Where sums begin."""
        return LevelSums(np.zeros((self.count, len(self.shared_S))), [np.zeros(len(slot)) for slot in self._slots])

    def scores(self, weights: LevelMatrix, f_nB: NDArray[Any]) -> NDArray[Any]:
        """w_c · f_c, C×B, in the precision of the weights; good until it is called again."""
        found: NDArray[Any]
        if weights.own is None:
            found = self._scratch.take("scores", self.count, f_nB.shape[1], weights.dense_CS.dtype)
            np.matmul(weights.dense_CS, f_nB[self._columns], out=found)
            return found
        found = weights.own @ f_nB
        if len(self.shared_S):
            part = self._scratch.take("scores", self.count, f_nB.shape[1], weights.dense_CS.dtype)
            found += np.matmul(weights.dense_CS, f_nB[self._columns], out=part)
        return found

    def add_gradient(self, gradient: LevelSums, g_CB: NDArray[Any], f_nB: NDArray[Any]) -> None:
        """Add Σ_B g_cB f_sB for every parameter (c, s)."""
        if len(self.shared_S):
            part_CS = self._scratch.take("gradient", self.count, len(self.shared_S), g_CB.dtype)
            gradient.dense_CS[:] += np.matmul(g_CB, f_nB[self._columns].T, out=part_CS)
        for sums, rows, taken in zip(gradient.slots, self._slot_rows, self._slot_columns, strict=True):
            part = self._scratch.take("part", len(taken), f_nB.shape[1], g_CB.dtype)
            np.take(f_nB, taken, axis=0, out=part, mode="clip")
            sums += np.einsum("cb,cb->c", g_CB if rows is None else g_CB[rows], part)

    def flat(self, gradient: LevelSums) -> NDArray[np.float64]:
        """Sums as parameters."""
        found = np.empty(self.size)
        found[self._dense_at] = gradient.dense_CS.ravel()[self._dense_flat]
        for slot, sums in zip(self._slots, gradient.slots, strict=True):
            found[slot] = sums
        return found


class LevelLoss:
    """−Σ log P(true category of one level), P = softmax over the level of w_c · f_c."""

    def __init__(self, rows: DenseRows, pattern: Pattern, at: int) -> None:
        self.product = LevelProduct(pattern, at)
        self.rows, self.at, self.size = rows, at, self.product.size

    def evaluate(self, values_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        weights, loss = self.product.prepare(values_P, dtype), 0.0
        gradient = self.product.no_sums()
        for block in self.rows.blocks:
            f_nB = block.f_nB.astype(dtype, copy=False)
            z_CB = self.product.scores(weights, f_nB)
            label_B, each = block.labels_LB[self.at] - self.product.first, np.arange(f_nB.shape[1])
            z_CB -= z_CB.max(axis=0)
            true_B = z_CB[label_B, each].astype(np.float64)
            np.exp(z_CB, out=z_CB)
            sum_B = z_CB.sum(axis=0)
            loss += float((np.log(sum_B.astype(np.float64)) - true_B).sum())
            z_CB *= 1 / sum_B
            z_CB[label_B, each] -= 1
            self.product.add_gradient(gradient, z_CB, f_nB)
        return loss, self.product.flat(gradient)


def level_losses(rows: DenseRows, pattern: Pattern) -> Sequence[tuple[slice, LevelLoss]]:
    """The loss falls apart by level: w_c occurs in the softmax of its own level only."""
    return [(pattern.of_level(at), LevelLoss(rows, pattern, at)) for at in range(pattern.tree.depth)]
