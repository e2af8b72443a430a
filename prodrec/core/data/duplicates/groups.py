"""Which rows show the same photo: groups, how they are joined, and labels that contradict each other.

Groups are numbered 0, 1, … in order of their first rows; a product alone has a group of its own.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts

if TYPE_CHECKING:
    import polars as pl


def exact_groups(digests_N: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Group numbers int64 [N] of rows with equal digests uint8 [N, 16]."""
    halves_N2 = np.ascontiguousarray(digests_N).view(np.uint64)
    _, first, groups_N = np.unique(halves_N2[:, 0], return_index=True, return_inverse=True)
    if len(digests_N) and (halves_N2[:, 1] != halves_N2[first, 1][groups_N]).any():  # equal in the first half alone
        keys = np.ascontiguousarray(digests_N).view("V16")[:, 0]
        groups_N = np.unique(keys, return_inverse=True)[1]
    return in_order_of_first(groups_N)


def in_order_of_first(groups_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups (numbers from 0, no more than a few times the rows), numbered in order of their first rows."""
    if not len(groups_N):
        return groups_N
    n = len(groups_N)
    first_G = np.full(int(groups_N.max()) + 1, n, np.int64)
    first_G[groups_N[::-1]] = np.arange(n - 1, -1, -1)  # the last to be written is the first row
    is_first_N = np.zeros(n, bool)
    is_first_N[first_G[first_G < n]] = True
    number_N = np.cumsum(is_first_N) - 1
    return number_N[first_G[groups_N]]


def join_pairs(start_N: NDArray[np.int64], pairs: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Group numbers after joining the pairs int64 [pairs, 2] of all blocks, and so on along chains (union-find).

    start_N: where every item begins: itself, or a lower item that it belongs to from the start.
    """
    parent = start_N.copy()
    for block in pairs:
        roots = np.sort(_roots(parent, block), axis=1)
        for low, high in np.unique(roots[roots[:, 0] != roots[:, 1]], axis=0).tolist():
            a, b = sorted((_root(parent, low), _root(parent, high)))
            parent[b] = a
    return in_order_of_first(_roots(parent, np.arange(len(parent))))


def _roots(parent: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    while not np.array_equal(above := parent[items], items):
        items = above
    return items


def _root(parent: NDArray[np.int64], item: int) -> int:
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = int(parent[item])
    return item


def group_sizes(group_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows the group of every row has: int64 [N]."""
    sizes: NDArray[np.int64] = np.bincount(group_N)[group_N] if len(group_N) else group_N
    return sizes


def conflicting(exact_N: NDArray[np.int64], leaf_N: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Rows whose photo stands under another leaf as well: bool [N]."""
    if not len(exact_N):
        return np.zeros(0, bool)
    groups = int(exact_N.max()) + 1
    leaf_G = np.empty(groups, leaf_N.dtype)
    leaf_G[exact_N] = leaf_N  # of one of its rows
    with_conflict_G = np.zeros(groups, bool)
    with_conflict_G[exact_N[leaf_N != leaf_G[exact_N]]] = True
    return with_conflict_G[exact_N]


def in_hexadecimal(name: str, digests_R: NDArray[np.uint8]) -> pl.Series:
    """Digests uint8 [R, bytes] as a column of text, two digits a byte."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    both = np.stack([digits[digests_R >> 4], digits[digests_R & 15]], axis=2)
    return Texts.from_lengths(both.reshape(-1), np.full(len(digests_R), 2 * digests_R.shape[1])).to_polars(name)
