"""Sparse design matrices of top-k samples.

Every exponent of a softmax, z_t = w_t · f, is linear in the P weights. The exponents of many samples are therefore one
product z_T = X_TP @ w_P with a design matrix X, as in a conditional logit. The row of X for t and a sample contains f_s
in the column of the weight (t, s), for every s in R_t. The rows of one softmax follow each other and form a group; the
categories t are its members.

Shapes: N samples; K top-k categories of a level; n categories; G groups; T members, one group after the other; E
nonzero entries of X; P weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ranges import concatenated_ranges
from prodrec.eval.refine.related_sets import RelatedSets
from prodrec.eval.refine.top_k_samples import TopKSamples

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Design:
    """The softmax groups of some samples.

    matrix_TP: X.
    starts_G:  the first member of every group.
    true_G:    the member that is the true category of its group.
    left_out_T: members that the softmax does not contain; None for none. A true member is never one of them.
    """

    matrix_TP: csr_array
    starts_G: NDArray[np.int64]
    true_G: NDArray[np.int64]
    left_out_T: NDArray[np.int64] | None = None


class DenseScores:
    """Writes the relative scores of a chunk to a dense array N×n, with 0 for every absent category.

    The array is reused for all chunks, and only the entries of the previous chunk are set to 0 again. A new array for
    every chunk would have to be filled with samples × categories zeros in total.
    """

    def __init__(self) -> None:
        self._flat = np.zeros(0, dtype=np.float32)
        self._written: list[NDArray[np.int64]] = []

    def fill(self, samples: TopKSamples) -> NDArray[np.float32]:
        """Return the scores of `samples`, N×n. The next call overwrites them."""
        for positions in self._written:
            self._flat[positions] = 0
        size = len(samples) * samples.tree.n
        if len(self._flat) < size:
            self._flat = np.zeros(size, dtype=np.float32)
        starts = np.arange(len(samples), dtype=np.int64)[:, None] * samples.tree.n
        self._written = [starts + categories_NK for categories_NK in samples.categories]
        for positions, scores_NK in zip(self._written, samples.scores, strict=True):
            self._flat[positions] = scores_NK
        return self._flat[:size].reshape(len(samples), samples.tree.n)


def level_matrix(samples: TopKSamples, related: RelatedSets, j: int, f_Nn: NDArray[np.float32]) -> csr_array:
    """Return X for the normaliser "level", where every member t has its own features f_t.

    There is one group per sample. Its members are the K top-k categories of level j. The columns are the weights of
    level j.
    """
    categories_NK, part = samples.categories[j], related.level_slice(j)
    sample_T, category_T = np.repeat(np.arange(len(samples)), categories_NK.shape[1]), categories_NK.ravel()
    member_E, weight_E = _weights_of_members(related, category_T.astype(np.int64))
    values_E = f_Nn[sample_T[member_E], related.columns_P[weight_E]]
    return _design_matrix(values_E, member_E, weight_E - part.start, shape=(len(sample_T), part.stop - part.start))


def related_matrix(
    samples: TopKSamples,
    related: RelatedSets,
    sample_G: NDArray[np.int64],
    category_G: NDArray[np.int64],
    f_Nn: NDArray[np.float32],
) -> tuple[csr_array, NDArray[np.int64], NDArray[np.int64]]:
    """Return X for the normaliser "related", where all members have the features f_c.

    There is one group per given pair (sample, c). Its members are those of the sample's top-k categories of all levels
    that are in R_c. Return also the number of members of every group, and which member is c itself.
    """
    in_top_k_Nn = np.zeros((len(samples), samples.tree.n), dtype=bool)
    for categories_NK in samples.categories:
        np.put_along_axis(in_top_k_Nn, categories_NK, True, axis=1)
    # The members of a group are the columns s of the weights (c, s), if s is in the top-k of the sample.
    group_T, weight_T = _weights_of_members(related, category_G)
    category_T = related.columns_P[weight_T].astype(np.int64)
    in_top_k_T = in_top_k_Nn[sample_G[group_T], category_T]
    group_T, category_T = group_T[in_top_k_T], category_T[in_top_k_T]

    # Member t has an entry for every weight (t, s) with s in R_c and a score that is not 0.
    member_E, weight_E = _weights_of_members(related, category_T)
    group_E, column_E = group_T[member_E], related.columns_P[weight_E].astype(np.int64)
    values_E = f_Nn[sample_G[group_E], column_E]
    in_related_E = (values_E != 0) & related.find(category_G[group_E] * related.tree.n + column_E)[1]
    matrix_TP = _design_matrix(
        values_E[in_related_E],
        member_E[in_related_E],
        weight_E[in_related_E],
        shape=(len(group_T), related.weight_count),
    )
    true_G = np.flatnonzero(category_T == category_G[group_T])
    return matrix_TP, np.bincount(group_T, minlength=len(sample_G)), true_G


def stack_matrices(matrices: Sequence[csr_array], columns: int) -> csr_array:
    """Stack the design matrices of consecutive chunks, possibly none."""
    from scipy.sparse import csr_array, vstack

    if not matrices:
        return csr_array((0, columns), dtype=np.float32)
    return vstack(matrices, format="csr")


def _weights_of_members(
    related: RelatedSets, category_T: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs (member, weight) of all weights (t, s) of every member t, in the order of the members."""
    starts, ends = related.bounds_n1[category_T], related.bounds_n1[category_T + 1]
    return np.repeat(np.arange(len(category_T)), ends - starts), concatenated_ranges(starts, ends - starts)


def _design_matrix(
    values_E: NDArray[np.float32], member_E: NDArray[np.int64], weight_E: NDArray[np.int64], *, shape: tuple[int, int]
) -> csr_array:
    """Return X from its entries, which are in the order of the members; entries of value 0 are omitted."""
    from scipy.sparse import csr_array

    nonzero = values_E != 0
    bounds = np.r_[0, np.cumsum(np.bincount(member_E[nonzero], minlength=shape[0]))]
    index_type = np.int32 if max(shape[1], len(values_E)) < 2**31 else np.int64
    return csr_array((values_E[nonzero], weight_E[nonzero].astype(index_type), bounds.astype(index_type)), shape=shape)
