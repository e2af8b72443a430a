"""The loss of S eq. 3 on samples with all scores, with the softmax of eq. 2 over the level (normaliser "level").

For category c of level j, with C^j the categories of that level and f_c = f with every score outside R_c set to zero:

    P(c | f, W) = exp(w_c · f_c) / Σ_{t ∈ C^j} exp(w_t · f_t)                              S eq. 2, normaliser "level"
    loss(W) = −Σ_i Σ_j log P(true category of sample i at level j)                         S eq. 3, without λ

A sample without a label at level j has no term at this level. A category without a sample has no term in the sum, see
`uncovered`.

The weights of a level are split in two. The columns that many categories of the level have, such as those of the
shallower levels, are multiplied as one dense matrix, and the other weights as a sparse one. With R_c = Ω all columns
are dense.

Shapes: B samples of a block; n categories; C categories of a level; S dense columns of a level; P weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.related_sets import RelatedSets, position_in_run

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DENSE_SHARE = 1 / 24
"""A column is multiplied densely if at least this share of the level's categories has it. Measured: a weight takes
about 1/24 of the time in the dense product that it takes in the sparse one."""


class Buffers:
    """Arrays that are reused for every block: on a busy machine, new memory pages cost as much as the arithmetic."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, Any], NDArray[Any]] = {}

    def get(self, name: str, rows: int, columns: int, dtype: Any) -> NDArray[Any]:
        """Return an uninitialised array rows×columns. The next call with the same name and dtype reuses its memory."""
        flat = self._flat.get((name, dtype))
        if flat is None or len(flat) < rows * columns:
            flat = self._flat[name, dtype] = np.empty(rows * columns, dtype=dtype)
        return flat[: rows * columns].reshape(rows, columns)


@dataclass(frozen=True)
class LevelWeights:
    """The weights of one level as matrices: the dense columns (C×S), and the others (C×n), None if there are none."""

    dense_CS: NDArray[Any]
    sparse_Cn: csr_array | None


@dataclass(frozen=True)
class LevelGradient:
    """The gradient with respect to the weights of one level, summed in float64.

    slots: one array for the first sparse weight of every category that has one, one for the second, and so on.
    """

    dense_CS: NDArray[np.float64]
    slots: list[NDArray[np.float64]]


class LevelProduct:
    """The products w_c · f_c for all categories c of level j, and their gradient with respect to W."""

    def __init__(self, related: RelatedSets, j: int) -> None:
        tree, part = related.tree, related.level_slice(j)
        self.first_category, self.category_count = int(tree.starts_L1[j]), tree.count(j)
        self.weight_count = part.stop - part.start
        self._n, self._buffers = tree.n, Buffers()
        rows_P, columns_P = related.rows_P[part] - self.first_category, related.columns_P[part].astype(np.int64)

        frequency_n = np.bincount(columns_P, minlength=tree.n)
        is_dense_n = frequency_n >= max(1.0, DENSE_SHARE * self.category_count)
        self._dense_S = np.flatnonzero(is_dense_n)
        # Consecutive columns, such as all categories of the shallower levels, are read without a copy.
        consecutive = len(self._dense_S) and self._dense_S[-1] - self._dense_S[0] + 1 == len(self._dense_S)
        self._dense_columns: Any = slice(self._dense_S[0], self._dense_S[-1] + 1) if consecutive else self._dense_S
        # The positions of the dense weights among all weights, and in the flat C×S matrix.
        is_dense_P, position_n = is_dense_n[columns_P], np.cumsum(is_dense_n) - 1
        self._dense_weights = np.flatnonzero(is_dense_P)
        self._dense_flat = rows_P[is_dense_P] * len(self._dense_S) + position_n[columns_P[is_dense_P]]

        self._sparse_weights = np.flatnonzero(~is_dense_P)
        sparse_rows, sparse_columns = rows_P[self._sparse_weights], columns_P[self._sparse_weights]
        self._sparse_csr = (
            sparse_columns.astype(np.int32),
            np.searchsorted(sparse_rows, np.arange(self.category_count + 1)),
        )
        # Slot i contains the i-th sparse weight of every category: gradients are summed without a copy of g_CB.
        slot = position_in_run(sparse_rows)
        self._slots = [self._sparse_weights[slot == i] for i in range(int(slot.max(initial=-1)) + 1)]
        self._slot_rows = [rows_P[weights] if len(weights) < self.category_count else None for weights in self._slots]
        self._slot_columns = [columns_P[weights] for weights in self._slots]

    def matrices(self, weights_P: NDArray[np.float64], dtype: Any) -> LevelWeights:
        """Return the P weights of the level as matrices of `dtype`."""
        dense = np.zeros(self.category_count * len(self._dense_S), dtype=dtype)
        dense[self._dense_flat] = weights_P[self._dense_weights]
        sparse = None
        if self._slots:
            from scipy.sparse import csr_array

            values = weights_P[self._sparse_weights].astype(dtype)
            sparse = csr_array((values, *self._sparse_csr), shape=(self.category_count, self._n))
        return LevelWeights(dense.reshape(self.category_count, len(self._dense_S)), sparse)

    def scores(self, weights: LevelWeights, f_nB: NDArray[Any]) -> NDArray[Any]:
        """Return w_c · f_c, C×B, in the dtype of the weights. The next call may overwrite the result."""
        z_CB: NDArray[Any]
        if weights.sparse_Cn is None:
            z_CB = self._buffers.get("scores", self.category_count, f_nB.shape[1], weights.dense_CS.dtype)
            np.matmul(weights.dense_CS, f_nB[self._dense_columns], out=z_CB)
            return z_CB
        z_CB = weights.sparse_Cn @ f_nB
        if len(self._dense_S):
            part_CB = self._buffers.get("scores", self.category_count, f_nB.shape[1], weights.dense_CS.dtype)
            z_CB += np.matmul(weights.dense_CS, f_nB[self._dense_columns], out=part_CB)
        return z_CB

    def zero_gradient(self) -> LevelGradient:
        return LevelGradient(
            np.zeros((self.category_count, len(self._dense_S))), [np.zeros(len(slot)) for slot in self._slots]
        )

    def add_gradient(self, gradient: LevelGradient, g_CB: NDArray[Any], f_nB: NDArray[Any]) -> None:
        """Add Σ_B g_cB · f_sB for every weight (c, s); g_CB is the gradient with respect to the scores w_c · f_c."""
        if len(self._dense_S):
            part_CS = self._buffers.get("gradient", self.category_count, len(self._dense_S), g_CB.dtype)
            gradient.dense_CS[:] += np.matmul(g_CB, f_nB[self._dense_columns].T, out=part_CS)
        for sums, rows, columns in zip(gradient.slots, self._slot_rows, self._slot_columns, strict=True):
            f_CB = self._buffers.get("slot", len(columns), f_nB.shape[1], g_CB.dtype)
            np.take(f_nB, columns, axis=0, out=f_CB, mode="clip")
            sums += np.einsum("cb,cb->c", g_CB if rows is None else g_CB[rows], f_CB)

    def flat_gradient(self, gradient: LevelGradient) -> NDArray[np.float64]:
        """Return the gradient in the order of the P weights of the level."""
        gradient_P = np.empty(self.weight_count)
        gradient_P[self._dense_weights] = gradient.dense_CS.ravel()[self._dense_flat]
        for slot, sums in zip(self._slots, gradient.slots, strict=True):
            gradient_P[slot] = sums
        return gradient_P


class LevelLoss:
    """−Σ log P(true category at level j) over all samples, as a function of the weights of level j."""

    def __init__(
        self, samples: DenseSamples, related: RelatedSets, j: int, covered_n: NDArray[np.bool_] | None = None
    ) -> None:
        self.product = LevelProduct(related, j)
        self.samples, self.j, self.weight_count = samples, j, self.product.weight_count
        starts = related.tree.starts_L1
        covered_C = np.ones(self.product.category_count, np.bool_)
        if covered_n is not None:
            covered_C = covered_n[starts[j] : starts[j + 1]]
        self._uncovered = np.flatnonzero(~covered_C)

    def evaluate(self, weights_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        weights, gradient, loss = self.product.matrices(weights_P, dtype), self.product.zero_gradient(), 0.0
        for block in self.samples.blocks:
            f_nB = block.f_nB.astype(dtype, copy=False)
            z_CB = self.product.scores(weights, f_nB)
            true_B, columns_B = block.labels_LB[self.j] - self.product.first_category, np.arange(len(block))
            without_label = np.flatnonzero(true_B < 0)
            true_B[without_label] = 0
            if len(self._uncovered) == len(z_CB):  # no sample has a label
                continue
            z_CB[self._uncovered] = -np.inf
            z_CB -= z_CB.max(axis=0)
            z_true_B = z_CB[true_B, columns_B].astype(np.float64)
            np.exp(z_CB, out=z_CB)
            sum_B = z_CB.sum(axis=0)
            loss_B = np.log(sum_B.astype(np.float64)) - z_true_B
            loss_B[without_label] = 0
            loss += float(loss_B.sum())
            z_CB *= 1 / sum_B
            z_CB[true_B, columns_B] -= 1  # now P(c) − [c is true], the gradient with respect to w_c · f_c
            z_CB[:, without_label] = 0
            self.product.add_gradient(gradient, z_CB, f_nB)
        return loss, self.product.flat_gradient(gradient)


def level_losses(
    samples: DenseSamples, related: RelatedSets, covered_n: NDArray[np.bool_] | None = None
) -> Sequence[tuple[slice, LevelLoss]]:
    """Return one loss per level and the range of its weights. Each w_c occurs in the softmax of its own level only.

    covered_n: the categories in the softmax, with every label of the samples; None is all
    """
    return [(related.level_slice(j), LevelLoss(samples, related, j, covered_n)) for j in range(related.tree.depth)]
