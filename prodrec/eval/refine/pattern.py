"""R_c of S eq. 4 for every category c: which weights there are. Everything else costs neither memory nor time.

Shapes: n categories; P parameters, one for every pair (c, s) with s in R_c, ordered by c, then by s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.tree import Tree


@dataclass(frozen=True)
class Pattern:
    """The sets R_c: those of category c are columns_P[bounds_n1[c] : bounds_n1[c + 1]], ascending."""

    tree: Tree
    bounds_n1: NDArray[np.int64]
    columns_P: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Σ|R_c|, the number of parameters."""
        return len(self.columns_P)

    @property
    def is_full(self) -> bool:
        """Whether every R_c is all of Ω."""
        return self.size == self.tree.n**2

    def of_level(self, at: int) -> slice:
        """The parameters of the categories of level number `at`."""
        starts = self.tree.starts_L1
        return slice(int(self.bounds_n1[starts[at]]), int(self.bounds_n1[starts[at + 1]]))

    @cached_property
    def rows_P(self) -> NDArray[np.int64]:
        """The category c that each parameter belongs to."""
        return np.repeat(np.arange(self.tree.n), np.diff(self.bounds_n1))

    @cached_property
    def keys_P(self) -> NDArray[np.int64]:
        """c · n + s of each parameter: ascending."""
        return self.rows_P * self.tree.n + self.columns_P

    def find(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The parameters of the pairs `keys`, and whether they exist."""
        at = np.minimum(np.searchsorted(self.keys_P, keys), max(0, self.size - 1))
        return at, self.keys_P[at] == keys

    def identity(self) -> NDArray[np.float64]:
        """The parameters of W = I, which leave the scores as they are."""
        found: NDArray[np.float64] = (self.rows_P == self.columns_P).astype(np.float64)
        return found

    def same(self, other: Pattern) -> bool:
        return np.array_equal(self.bounds_n1, other.bounds_n1) and np.array_equal(self.columns_P, other.columns_P)


def everything(tree: Tree) -> Pattern:
    """R_c = Ω for all c: n² parameters."""
    n = tree.n
    return Pattern(tree, np.arange(n + 1, dtype=np.int64) * n, np.tile(np.arange(n, dtype=np.int32), n))


def from_keys(tree: Tree, keys: NDArray[np.int64]) -> Pattern:
    """The pattern of the pairs c · n + s, in any order; doubles count once."""
    keys = np.sort(keys)  # np.unique hashes large arrays: 0.9 s instead of 0.1 for seven million
    keys = keys[np.r_[True, keys[1:] != keys[:-1]][: len(keys)]]
    bounds = np.searchsorted(keys, np.arange(tree.n + 1, dtype=np.int64) * tree.n)
    return Pattern(tree, bounds.astype(np.int64), (keys % tree.n).astype(np.int32))


def most_related(first: Pattern, values_P: NDArray[np.float64], k: int) -> Pattern:
    """R_c of S eq. 4 from the weights of a first fit: {C^1, …, C^(j-1), T_c}.

    T_c: the k categories of c's own level with the largest |weight| in w_c, c itself always the first of them (with c
    left out its own score could not count), ties towards the lower index; and the direct children of these k, of which
    the deepest level has none. Where the first fit was itself confined to some categories, so is the answer.
    """
    tree, n = first.tree, first.tree.n
    rows_P, columns_P = first.rows_P, first.columns_P
    level_P, own_level_P = tree.level_of(columns_P), tree.level_of(rows_P)
    keys = [first.keys_P[level_P < own_level_P]]
    own = np.flatnonzero(level_P == own_level_P)
    size = np.where(columns_P[own] == rows_P[own], np.inf, np.abs(values_P[own]))
    best = own[np.lexsort((columns_P[own], -size, rows_P[own]))]
    row = rows_P[best]
    place = np.arange(len(best)) - np.searchsorted(row, row)
    chosen = best[place < k]
    keys.append(first.keys_P[chosen])
    bounds, numbers = tree.children()
    parent = columns_P[chosen].astype(np.int64)
    born = expand(bounds[parent], bounds[parent + 1])
    children = np.repeat(rows_P[chosen], bounds[parent + 1] - bounds[parent]) * n + numbers[born]
    keys.append(children if first.is_full else children[first.find(children)[1]])
    return from_keys(tree, np.concatenate(keys))


def expand(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers of the ranges starts[i] … ends[i] - 1, one range after the other."""
    lengths = ends - starts
    total = int(lengths.sum())
    before = np.cumsum(lengths) - lengths
    found: NDArray[np.int64] = np.arange(total) + np.repeat(starts - before, lengths)
    return found
