"""Find groups of rows with identical photos or vectors, join groups, and find groups with contradicting labels.

Groups are numbered 0, 1, … in order of their first rows. A row without duplicates forms a group of its own.

Shapes: N rows, G groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl


def identical_groups(digests_ND: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the group of every row, int64 [N], where rows with equal digests, uint8 [N, 16], form a group."""
    halves_N2 = np.ascontiguousarray(digests_ND).view(np.uint64)
    _, first, groups_N = np.unique(halves_N2[:, 0], return_index=True, return_inverse=True)
    if len(digests_ND) and (halves_N2[:, 1] != halves_N2[first, 1][groups_N]).any():  # only the first halves are equal
        keys = np.ascontiguousarray(digests_ND).view("V16")[:, 0]
        groups_N = np.unique(keys, return_inverse=True)[1]
    return renumber_groups(groups_N)


def renumber_groups(groups_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber groups in order of their first rows: int64 [N].

    groups_N: numbers from 0 on; the largest should not exceed a few times N, because memory grows with it
    """
    if not len(groups_N):
        return groups_N
    n = len(groups_N)
    first_G = np.full(int(groups_N.max()) + 1, n, np.int64)
    first_G[groups_N[::-1]] = np.arange(n - 1, -1, -1)  # the last assignment to a group is its first row
    is_first_N = np.zeros(n, bool)
    is_first_N[first_G[first_G < n]] = True
    number_N = np.cumsum(is_first_N) - 1
    return number_N[first_G[groups_N]]


def join_pairs(parent_N: NDArray[np.int64], pairs: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the groups after joining pairs, int64 [N]: the connected components, by union-find.

    parent_N: int64, the initial parent of every item: itself, or a lower item of the same group
    pairs:    chunks of pairs, int64 [pairs, 2]
    """
    parent = parent_N.copy()
    for chunk in pairs:
        roots = np.sort(_roots(parent, chunk), axis=1)
        for low, high in np.unique(roots[roots[:, 0] != roots[:, 1]], axis=0).tolist():
            a, b = sorted((_root(parent, low), _root(parent, high)))
            parent[b] = a
    return renumber_groups(_roots(parent, np.arange(len(parent))))


def _roots(parent: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the root of each of `items`, an array of any shape."""
    while not np.array_equal(above := parent[items], items):
        items = above
    return items


def _root(parent: NDArray[np.int64], item: int) -> int:
    """Return the root of one item, and shorten the path to it."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = int(parent[item])
    return item


def group_sizes(group_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of rows in the group of every row: int64 [N]."""
    sizes_N: NDArray[np.int64] = np.bincount(group_N)[group_N] if len(group_N) else group_N
    return sizes_N


def merge_groups(first_N: NDArray[np.int64], second_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the groups of rows that are connected by either of two groupings, int64 [N].

    Both number their groups from 0 on, without gaps.
    """
    rows = len(first_N)
    if int(second_N.max(initial=-1)) + 1 == rows:  # every row is a group of its own
        return renumber_groups(first_N)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups = int(first_N.max()) + 1
    nodes = groups + int(second_N.max()) + 1  # the groups of both are the nodes, and every row connects two of them
    edges = coo_array((np.ones(rows, bool), (first_N, second_N + groups)), shape=(nodes, nodes))
    component = connected_components(edges, directed=False)[1].astype(np.int64)
    return renumber_groups(renumber_groups(component[first_N]))


def conflicting_rows(identical_N: NDArray[np.int64], leaf_N: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return a mask of the rows whose group of identical rows contains several leaves: bool [N]."""
    if not len(identical_N):
        return np.zeros(0, bool)
    groups = int(identical_N.max()) + 1
    leaf_G = np.empty(groups, leaf_N.dtype)
    leaf_G[identical_N] = leaf_N  # the leaf of any row of the group
    has_conflict_G = np.zeros(groups, bool)
    has_conflict_G[identical_N[leaf_N != leaf_G[identical_N]]] = True
    return has_conflict_G[identical_N]


def hex_column(name: str, digests_RD: NDArray[np.uint8]) -> pl.Series:
    """Return digests, uint8 [R, D], as a column of hexadecimal text."""
    import polars as pl

    return pl.Series(name, digests_RD).cast(pl.List(pl.UInt8)).cast(pl.Binary).bin.encode("hex")
