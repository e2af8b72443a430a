"""The loss of S eq. 3 on samples with all scores, with the softmax of eq. 2 over R_c (normaliser "related").

    P(c | f, W) = exp(w_c · f_c) / Σ_{t ∈ R_c} exp(w_t · f_c)                              S eq. 2 as printed

All terms use the same features f_c, which are zero outside R_c. The exponents of all t in R_c are therefore one product
of the |R_c| × |R_c| submatrix W[R_c, R_c] with f[R_c]. Unlike with the normaliser "level", the loss of a level depends
on weights of other levels, because R_c contains their categories.

Shapes: B samples; Q = |R_c| categories; n categories; L refined levels; P weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.dense_samples import Block, DenseSamples
from prodrec.eval.refine.related_sets import RelatedSets


@dataclass(frozen=True)
class Submatrix:
    """The submatrix W[R_c, R_c], as positions among the P weights.

    categories_Q: R_c, ascending.
    entries:      flat positions in Q×Q of the pairs (t, s) with s in R_t; all other entries are zero.
    weights:      positions of these pairs among the P weights.
    """

    categories_Q: NDArray[np.int64]
    entries: NDArray[np.int64]
    weights: NDArray[np.int64]

    @classmethod
    def of(cls, related: RelatedSets, category: int) -> Submatrix:
        part = slice(int(related.bounds_n1[category]), int(related.bounds_n1[category + 1]))
        categories_Q = related.columns_P[part].astype(np.int64)
        weights, exists = related.find((categories_Q[:, None] * related.tree.n + categories_Q).ravel())
        return cls(categories_Q, np.flatnonzero(exists), weights[exists])

    def matrix(self, weights_P: NDArray[np.float64], dtype: Any) -> NDArray[Any]:
        """Return W[R_c, R_c], Q×Q."""
        flat = np.zeros(len(self.categories_Q) ** 2, dtype=dtype)
        flat[self.entries] = weights_P[self.weights]
        return flat.reshape(len(self.categories_Q), -1)


@dataclass(frozen=True)
class Group:
    """Samples whose softmax has the same submatrix.

    f_QB:    scores of the categories in R_c.
    true_LB: position in R_c of the true category, for one level or for all levels at which the samples have a label.
    """

    submatrix: Submatrix
    f_QB: NDArray[np.float32]
    true_LB: NDArray[np.int64]


class RelatedLoss:
    """−Σ log P(true category) over all samples and levels, S eq. 3 with eq. 2 as printed."""

    def __init__(self, samples: DenseSamples, related: RelatedSets) -> None:
        self.weight_count = related.weight_count
        if related.is_complete:
            submatrix = Submatrix.of(related, 0)
            self._groups = [group for block in samples.blocks for group in _groups_of_block(submatrix, block)]
        else:
            self._groups = [group for j in range(related.tree.depth) for group in _groups_of_level(samples, related, j)]

    def evaluate(self, weights_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        gradient, loss = np.zeros(self.weight_count), 0.0
        current, w_QQ = None, np.zeros((0, 0), dtype=dtype)
        for group in self._groups:
            submatrix, true_LB = group.submatrix, group.true_LB
            if submatrix is not current:
                current, w_QQ = submatrix, submatrix.matrix(weights_P, dtype)
            f_QB = group.f_QB.astype(dtype, copy=False)
            z_QB, columns_B = w_QQ @ f_QB, np.arange(f_QB.shape[1])
            z_QB -= z_QB.max(axis=0)
            z_true = sum(z_QB[true_B, columns_B].astype(np.float64).sum() for true_B in true_LB)
            np.exp(z_QB, out=z_QB)
            sum_B = z_QB.sum(axis=0)
            loss += len(true_LB) * float(np.log(sum_B.astype(np.float64)).sum()) - float(z_true)
            z_QB *= len(true_LB) / sum_B
            for true_B in true_LB:
                z_QB[true_B, columns_B] -= 1  # now Σ_levels P(t) − [t is true], the gradient w.r.t. w_t · f_c
            gradient[submatrix.weights] += (z_QB @ f_QB.T).ravel()[submatrix.entries]
        return loss, gradient


def _groups_of_block(submatrix: Submatrix, block: Block) -> list[Group]:
    """Group the samples of a block by the number of levels at which they have a label; these are the first levels."""
    depth_B = (block.labels_LB >= 0).sum(axis=0)
    if (depth_B == len(block.labels_LB)).all():
        return [Group(submatrix, block.f_nB, block.labels_LB)]
    depths = [depth for depth in np.unique(depth_B).tolist() if depth]
    return [
        Group(submatrix, block.f_nB[:, depth_B == depth], block.labels_LB[:depth, depth_B == depth]) for depth in depths
    ]


def _groups_of_level(samples: DenseSamples, related: RelatedSets, j: int) -> list[Group]:
    """Group the samples with a label at level j by their true category: one group for every R_c that occurs."""
    blocks, groups = samples.blocks, []
    label_N = np.concatenate([block.labels_LB[j] for block in blocks])
    block_N = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    column_N = np.concatenate([np.arange(len(block)) for block in blocks])
    by_label_N = np.argsort(label_N, kind="stable")
    by_label_N = by_label_N[np.searchsorted(label_N[by_label_N], 0) :]  # without the labels of -1
    if not len(by_label_N):
        return []
    categories, starts = np.unique(label_N[by_label_N], return_index=True)
    for category, members in zip(categories.tolist(), np.split(by_label_N, starts[1:]), strict=True):
        submatrix = Submatrix.of(related, category)
        parts = [
            blocks[b].f_nB[np.ix_(submatrix.categories_Q, column_N[members[block_N[members] == b]])]
            for b in np.unique(block_N[members])
        ]
        position = int(np.searchsorted(submatrix.categories_Q, category))
        groups.append(Group(submatrix, np.concatenate(parts, axis=1), np.full((1, len(members)), position)))
    return groups


class RelatedScores:
    """log P(c) of S eq. 2 as printed, for every category c and fixed weights."""

    def __init__(self, related: RelatedSets, weights_P: NDArray[np.float64]) -> None:
        self.n = related.tree.n
        categories = range(1 if related.is_complete else self.n)
        self._submatrices = [Submatrix.of(related, category) for category in categories]
        self._weights = [submatrix.matrix(weights_P, np.float64) for submatrix in self._submatrices]

    def scores(self, f_nB: NDArray[Any]) -> NDArray[Any]:
        """Return log P(c), n×B, always in float64, because it is a difference of large numbers."""
        if len(self._submatrices) == 1:
            z_nB: NDArray[Any] = self._weights[0] @ f_nB
            z_nB -= _log_sum_exp(z_nB)
            return z_nB
        log_p_nB = np.empty((self.n, f_nB.shape[1]))
        for category, (submatrix, w_QQ) in enumerate(zip(self._submatrices, self._weights, strict=True)):
            z_QB = w_QQ @ f_nB[submatrix.categories_Q]
            log_p_nB[category] = z_QB[np.searchsorted(submatrix.categories_Q, category)] - _log_sum_exp(z_QB)
        return log_p_nB


def _log_sum_exp(z_QB: NDArray[Any]) -> NDArray[Any]:
    """Return log Σ_Q exp(z_QB)."""
    largest_B = z_QB.max(axis=0)
    result_B: NDArray[Any] = largest_B + np.log(np.exp(z_QB - largest_B).sum(axis=0))
    return result_B
