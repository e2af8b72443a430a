"""The loss of S eq. 3 on top-k samples, and their refined scores, with either normaliser of eq. 2.

Shapes: N samples; K top-k categories of a level; G groups (softmaxes); T members of all groups; P weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.related_sets import RelatedSets
from prodrec.eval.refine.top_k_design import DenseScores, Design, level_matrix, related_matrix, stack_matrices
from prodrec.eval.refine.top_k_samples import TopKSamples


class GroupedSoftmaxLoss:
    """−Σ log P(true member) over the groups of a design. P is the softmax of z_T = X_TP @ w_P within each group."""

    def __init__(self, design: Design) -> None:
        self.design, self.weight_count = design, design.matrix_TP.shape[1]
        self._lengths_G = np.diff(np.r_[design.starts_G, design.matrix_TP.shape[0]])

    def evaluate(self, weights_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        design = self.design
        if not len(design.starts_G):
            return 0.0, np.zeros(self.weight_count)
        matrix_TP = design.matrix_TP.astype(dtype, copy=False)
        z_T = matrix_TP @ weights_P.astype(dtype)
        if design.left_out_T is not None:
            z_T[design.left_out_T] = -np.inf
        z_T -= np.repeat(np.maximum.reduceat(z_T, design.starts_G), self._lengths_G)
        z_true_G = z_T[design.true_G].astype(np.float64)
        np.exp(z_T, out=z_T)
        sum_G = np.add.reduceat(z_T, design.starts_G, dtype=np.float64)
        z_T /= np.repeat(sum_G, self._lengths_G).astype(dtype)
        z_T[design.true_G] -= 1  # now P(t) − [t is true], the gradient with respect to z_T
        return float((np.log(sum_G) - z_true_G).sum()), (matrix_TP.T @ z_T).astype(np.float64)


def level_losses(
    samples: TopKSamples, related: RelatedSets, covered_n: NDArray[np.bool_] | None = None
) -> Sequence[tuple[slice, GroupedSoftmaxLoss]]:
    """Return one loss per level and the range of its weights: the softmax over the top-k categories of the level.

    covered_n: the categories in the softmax, with every label of the samples; None is all
    """
    losses, dense_scores = [], DenseScores()
    for j in range(related.tree.depth):
        part = related.level_slice(j)
        is_true_NK = samples.is_true(j)
        has_true_N = is_true_NK.any(axis=1)
        fitted = samples.take(has_true_N)
        matrices = [level_matrix(chunk, related, j, dense_scores.fill(chunk)) for chunk in fitted.chunks()]
        starts_G = np.arange(len(fitted), dtype=np.int64) * is_true_NK.shape[1]
        design = Design(
            stack_matrices(matrices, part.stop - part.start),
            starts_G,
            starts_G + is_true_NK[has_true_N].argmax(axis=1),
            None if covered_n is None else np.flatnonzero(~covered_n[fitted.categories[j].ravel()]),
        )
        losses.append((part, GroupedSoftmaxLoss(design)))
    return losses


def related_loss(samples: TopKSamples, related: RelatedSets) -> GroupedSoftmaxLoss:
    """Return the loss of S eq. 2 as printed: the softmax over the top-k categories in R_c, of all levels."""
    matrices, lengths, true, dense_scores = [], [], [], DenseScores()
    members = 0
    for chunk in samples.chunks():
        has_true = [chunk.is_true(j).any(axis=1) for j in range(related.tree.depth)]
        sample_G = np.concatenate([np.flatnonzero(has_true_N) for has_true_N in has_true])
        category_G = np.concatenate([chunk.labels_NL[has_true_N, j] for j, has_true_N in enumerate(has_true)])
        matrix_TP, length_G, true_G = related_matrix(chunk, related, sample_G, category_G, dense_scores.fill(chunk))
        true.append(true_G + members)
        members += matrix_TP.shape[0]
        matrices.append(matrix_TP)
        lengths.append(length_G)
    length_G = np.concatenate(lengths)
    starts_G = np.cumsum(length_G) - length_G
    return GroupedSoftmaxLoss(Design(stack_matrices(matrices, related.weight_count), starts_G, np.concatenate(true)))


def refined_top_k(
    samples: TopKSamples, related: RelatedSets, weights_P: NDArray[np.float64], normaliser: str
) -> list[NDArray[np.float32]]:
    """Return the refined scores of the top-k categories of every level, N×K.

    They are w_c · f_c for the normaliser "level", and log P(c) of S eq. 2 for "related".
    """
    chunks: list[list[NDArray[np.float32]]] = []
    single_P, dense_scores = weights_P.astype(np.float32), DenseScores()
    for chunk in samples.chunks():
        f_Nn = dense_scores.fill(chunk)
        if normaliser == "level":
            chunks.append([_level_scores(chunk, related, j, single_P, f_Nn) for j in range(related.tree.depth)])
        else:
            chunks.append([_log_probabilities(chunk, related, c_NK, single_P, f_Nn) for c_NK in chunk.categories])
    return [np.concatenate([levels[j] for levels in chunks]) for j in range(related.tree.depth)]


def _level_scores(
    samples: TopKSamples, related: RelatedSets, j: int, weights_P: NDArray[np.float32], f_Nn: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return w_c · f_c of the top-k categories of level j, N×K."""
    z_T = level_matrix(samples, related, j, f_Nn) @ weights_P[related.level_slice(j)]
    z_NK: NDArray[np.float32] = z_T.reshape(len(samples), -1)
    return z_NK


def _log_probabilities(
    samples: TopKSamples,
    related: RelatedSets,
    categories_NK: NDArray[np.int32],
    weights_P: NDArray[np.float32],
    f_Nn: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return log P(c) of S eq. 2 as printed for every category of categories_NK, N×K."""
    sample_G = np.repeat(np.arange(len(samples)), categories_NK.shape[1])
    matrix_TP, length_G, true_G = related_matrix(
        samples, related, sample_G, categories_NK.ravel().astype(np.int64), f_Nn
    )
    starts_G, z_T = np.cumsum(length_G) - length_G, matrix_TP @ weights_P
    largest_G = np.maximum.reduceat(z_T, starts_G)
    sum_G = np.add.reduceat(np.exp(z_T - np.repeat(largest_G, length_G)), starts_G)
    log_p_NK: NDArray[np.float32] = (z_T[true_G] - largest_G - np.log(sum_G)).reshape(categories_NK.shape)
    return log_p_NK
