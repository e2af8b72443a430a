"""Which rows show the same photo: groups, how they are joined, and labels that contradict each other.

Groups are numbered 0, 1, … in order of their first rows; a product alone has a group of its own.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def exact_groups(digests_N: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Group numbers int64 [N] of rows with equal digests uint8 [N, 16]."""
    keys = np.ascontiguousarray(digests_N).view("V16")[:, 0]
    return in_order_of_first(np.unique(keys, return_inverse=True)[1])


def in_order_of_first(groups_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered in order of their first rows."""
    _, first, inverse = np.unique(groups_N, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first, kind="stable")] = np.arange(len(first))
    return numbers[inverse]


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
    order = np.lexsort((leaf_N, exact_N))
    same_photo, other_leaf = np.diff(exact_N[order]) == 0, np.diff(leaf_N[order]) != 0
    with_conflict = np.unique(exact_N[order][1:][same_photo & other_leaf])
    return np.isin(exact_N, with_conflict)
