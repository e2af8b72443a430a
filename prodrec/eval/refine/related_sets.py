"""The sets R_c (S eq. 4). R_c contains the categories whose scores enter the refined score of category c.

W has one weight for every pair (c, s) with s in R_c. All other entries of the n×n matrix are zero and take neither
memory nor time. The pairs are stored like the entries of a sparse matrix in CSR form: row bounds and column indices.

Shapes: n categories; P = Σ|R_c| weights, ordered by c, then by s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.ranges import concatenated_ranges
from prodrec.eval.refine.tree import Tree


@dataclass(frozen=True)
class RelatedSets:
    """R_c for every category c: columns_P[bounds_n1[c] : bounds_n1[c + 1]], ascending."""

    tree: Tree
    bounds_n1: NDArray[np.int64]
    columns_P: NDArray[np.int32]

    @classmethod
    def all_categories(cls, tree: Tree) -> RelatedSets:
        """Return R_c = Ω for every c: n² weights."""
        n = tree.n
        return cls(tree, np.arange(n + 1, dtype=np.int64) * n, np.tile(np.arange(n, dtype=np.int32), n))

    @classmethod
    def from_pairs(cls, tree: Tree, pairs: NDArray[np.int64]) -> RelatedSets:
        """Return the sets that contain s in R_c for every pair c · n + s, in any order and with repetitions."""
        pairs = np.sort(pairs)  # np.unique hashes large arrays: 0.9 s instead of 0.1 s for seven million
        pairs = pairs[np.r_[True, pairs[1:] != pairs[:-1]][: len(pairs)]]
        bounds = np.searchsorted(pairs, np.arange(tree.n + 1, dtype=np.int64) * tree.n)
        return cls(tree, bounds.astype(np.int64), (pairs % tree.n).astype(np.int32))

    @property
    def weight_count(self) -> int:
        """P = Σ|R_c|."""
        return len(self.columns_P)

    @property
    def is_complete(self) -> bool:
        """Whether R_c = Ω for every c."""
        return self.weight_count == self.tree.n**2

    def level_slice(self, j: int) -> slice:
        """Return the range of the weights w_c of all categories c of level j."""
        starts = self.tree.starts_L1
        return slice(int(self.bounds_n1[starts[j]]), int(self.bounds_n1[starts[j + 1]]))

    @cached_property
    def rows_P(self) -> NDArray[np.int64]:
        """The category c of every weight."""
        return np.repeat(np.arange(self.tree.n), np.diff(self.bounds_n1))

    @cached_property
    def pairs_P(self) -> NDArray[np.int64]:
        """c · n + s of every weight, ascending."""
        return self.rows_P * self.tree.n + self.columns_P

    def find(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the position of the weight of every pair c · n + s, and whether it exists.

        The position of a pair without a weight is meaningless.
        """
        position = np.minimum(np.searchsorted(self.pairs_P, pairs), max(0, self.weight_count - 1))
        return position, self.pairs_P[position] == pairs

    def identity_P(self) -> NDArray[np.float64]:
        """Return the weights of W = I, which leave the scores unchanged."""
        weights_P: NDArray[np.float64] = (self.rows_P == self.columns_P).astype(np.float64)
        return weights_P

    def equals(self, other: RelatedSets) -> bool:
        return np.array_equal(self.bounds_n1, other.bounds_n1) and np.array_equal(self.columns_P, other.columns_P)


def select_related(first: RelatedSets, weights_P: NDArray[np.float64], k: int) -> RelatedSets:
    """Select R_c by the weights of a first fit, S eq. 4: R_c = {C^1, …, C^(j-1), T_c} for c of level j.

    T_c contains the k categories of level j with the largest |weight| in w_c, and the children of these k. Ties go to
    the lower number. c itself is always the first of the k, because without it the raw score of c would not count.
    Every R_c is a subset of the R_c of the first fit.
    """
    tree, n = first.tree, first.tree.n
    rows_P, columns_P = first.rows_P, first.columns_P
    column_level_P, row_level_P = tree.level_of(columns_P), tree.level_of(rows_P)
    shallower = first.pairs_P[column_level_P < row_level_P]
    same_level = np.flatnonzero(column_level_P == row_level_P)
    magnitude = np.where(columns_P[same_level] == rows_P[same_level], np.inf, np.abs(weights_P[same_level]))
    by_magnitude = same_level[np.lexsort((columns_P[same_level], -magnitude, rows_P[same_level]))]
    largest = by_magnitude[position_in_run(rows_P[by_magnitude]) < k]
    bounds, children = tree.children()
    parent = columns_P[largest].astype(np.int64)
    starts, lengths = bounds[parent], bounds[parent + 1] - bounds[parent]
    child_pairs = np.repeat(rows_P[largest], lengths) * n + children[concatenated_ranges(starts, lengths)]
    if not first.is_complete:
        child_pairs = child_pairs[first.find(child_pairs)[1]]
    return RelatedSets.from_pairs(tree, np.concatenate([shallower, first.pairs_P[largest], child_pairs]))


def position_in_run(ascending: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the position of every element within its run of equal values: [3, 3, 7] gives [0, 1, 0]."""
    position: NDArray[np.int64] = np.arange(len(ascending)) - np.searchsorted(ascending, ascending)
    return position
