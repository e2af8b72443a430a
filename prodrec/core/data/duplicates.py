"""Which rows show the same photo: groups of pixel-identical and near-identical photos, and labels that contradict.

Shapes: N rows, H distinct photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.perceptual import FLAT, near_pairs


@dataclass(frozen=True)
class Groups:
    """Duplicate groups, numbered in order of their first row; a product alone has a group of its own.

    exact_N: int64, rows with identical pixels
    group_N: int64, rows with identical or nearly identical pixels; what splits respect
    """

    exact_N: NDArray[np.int64]
    group_N: NDArray[np.int64]


def exact_groups(digests_N: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Group numbers int64 [N] of digests uint8 [N, 16], in order of first rows."""
    keys = np.ascontiguousarray(digests_N).view("V16")[:, 0]
    return in_order_of_first(np.unique(keys, return_inverse=True)[1])


def in_order_of_first(groups_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same groups, numbered 0, 1, … in order of their first rows."""
    _, first, inverse = np.unique(groups_N, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first, kind="stable")] = np.arange(len(first))
    return numbers[inverse]


def near_groups(exact_N: NDArray[np.int64], hashes_N: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Exact groups joined where their perceptual hashes differ in at most `bits` bits, and so on along chains."""
    hashes_H, hash_N = np.unique(hashes_N, return_inverse=True)
    plain = hashes_H != FLAT
    parent = np.arange(len(hashes_H) + int(exact_N.max(initial=-1)) + 1)
    node_N = np.where(plain[hash_N], hash_N, len(hashes_H) + exact_N)
    candidates = np.flatnonzero(plain)
    for pairs in near_pairs(hashes_H[candidates], bits):
        for i, j in candidates[pairs].tolist():
            _join(parent, i, j)
    roots = np.fromiter((_root(parent, node) for node in range(len(parent))), np.int64, len(parent))
    return in_order_of_first(roots[node_N])


def _root(parent: NDArray[np.int64], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = int(parent[node])
    return node


def _join(parent: NDArray[np.int64], i: int, j: int) -> None:
    low, high = sorted((_root(parent, i), _root(parent, j)))
    parent[high] = low


def sizes(group_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows the group of every row has: int64 [N]."""
    return np.bincount(group_N)[group_N] if len(group_N) else group_N


def conflicting(exact_N: NDArray[np.int64], leaf_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows whose photo, to the pixel, stands under another leaf as well: bool [N]."""
    if not len(exact_N):
        return np.zeros(0, bool)
    lowest = np.full(int(exact_N.max()) + 1, np.iinfo(np.int64).max)
    highest = np.full(len(lowest), -1, np.int64)
    np.minimum.at(lowest, exact_N, leaf_N)
    np.maximum.at(highest, exact_N, leaf_N)
    return (lowest != highest)[exact_N]
