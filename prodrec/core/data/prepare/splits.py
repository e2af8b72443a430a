"""Train, test and validation: by leaf and by seed (paper S §4.1, 7:2:1), never through a group of duplicates.

Shapes: N rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption

TRAIN, TEST, VALIDATION = 0, 1, 2
NAMES = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION)


@dataclass(frozen=True)
class Ratios:
    """Shares of train, test and validation; they sum to 1."""

    train: float = 0.7
    test: float = 0.2
    validation: float = 0.1


def parse_ratios(text: str) -> Ratios:
    """`7:2:1` (train:test:validation). Raises BadOption."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if len(parts) != 3 or min(parts) < 0 or parts[0] <= 0 or not np.isfinite(sum(parts)):
        raise BadOption(
            f"--split {text} is not usable: expected train:test:validation such as 7:2:1, with train over 0."
        )
    return Ratios(*(part / sum(parts) for part in parts))


def split_rows(
    leaf_N: NDArray[np.integer[Any]],
    group_N: NDArray[np.int64],
    leaves: Sequence[str],
    *,
    ratios: Ratios,
    seed: int,
    balanced_test: int | None = None,
) -> NDArray[np.uint8]:
    """The split of every row: uint8 [N]; rows of one group are together.

    Of the n photos of a leaf floor(0.2 n + 1/2) go to test and floor(0.1 n + 1/2) to validation (at 7:2:1); with
    `balanced_test` that many go to test, at most half. Train keeps at least one. A group that is larger than what a
    split still lacks is passed over, so a split never gets more than its share. What happens in a leaf depends on the
    seed, its name and its own rows only.
    """
    if not len(leaf_N):
        return np.zeros(0, np.uint8)
    home_G, size_G = _homes(leaf_N, group_N)
    groups_C = np.bincount(home_G, minlength=len(leaves))
    start_C = np.cumsum(groups_C) - groups_C
    by_leaf = np.argsort(home_G, kind="stable")
    home_G, size_G = home_G[by_leaf], size_G[by_leaf]
    place_G = np.arange(len(home_G)) - start_C[home_G]
    random_bits = np.uint64(64 - len(leaves).bit_length())  # what the number of the leaf leaves free
    random_G = _random(_seeds(leaves, seed)[home_G], place_G) >> (np.uint64(64) - random_bits)
    shuffled = np.argsort(home_G.astype(np.uint64) << random_bits | random_G, kind="stable")
    by_leaf, size_G = by_leaf[shuffled], size_G[shuffled]

    photos_C = np.bincount(home_G, size_G, minlength=len(leaves)).astype(np.int64)
    test_C, validation_C = _targets(photos_C, ratios, balanced_test)
    in_test_G = place_G < test_C[home_G]
    in_validation_G = ~in_test_G & (place_G < (test_C + validation_C)[home_G])
    dealt_G = np.select([in_test_G, in_validation_G], [np.uint8(TEST), np.uint8(VALIDATION)], np.uint8(TRAIN))
    for leaf in np.flatnonzero(photos_C > groups_C).tolist():  # those with a group of several rows
        own = slice(int(start_C[leaf]), int(start_C[leaf] + groups_C[leaf]))
        dealt_G[own] = _deal(size_G[own], int(test_C[leaf]), int(validation_C[leaf]))
    split_G = np.empty_like(dealt_G)
    split_G[by_leaf] = dealt_G
    return split_G[group_N]


def _homes(leaf_N: NDArray[np.integer[Any]], group_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The leaf that most rows of a group have (the first where two are equal), and how many rows it has, by group."""
    size_G = np.bincount(group_N)
    home_G = np.empty(len(size_G), np.int64)
    home_G[group_N] = leaf_N
    several_N = size_G[group_N] > 1
    leaves = int(leaf_N.max()) + 1
    pairs, rows = np.unique(group_N[several_N] * leaves + leaf_N[several_N], return_counts=True)
    group, leaf = np.divmod(pairs, leaves)
    order = np.lexsort((leaf, -rows, group))
    first = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    home_G[group[first]] = leaf[first]
    return home_G, size_G


def _seeds(leaves: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """A number for every leaf, by its name and the seed."""
    key = hashlib.blake2b(str(seed).encode()).digest()
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in leaves)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _random(seed_G: NDArray[np.uint64], place_G: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Random numbers by seed and place: the stream of Steele et al. 2014, "SplitMix", from each seed on."""
    x = seed_G + (place_G.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _targets(
    photos_C: NDArray[np.int64], ratios: Ratios, balanced_test: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many of so many photos go to test and to validation."""
    if balanced_test is None:
        test_C = np.floor(ratios.test * photos_C + 0.5 + 1e-9).astype(np.int64)
    else:
        test_C = np.minimum(balanced_test, photos_C // 2)
    validation_C = np.floor(ratios.validation * photos_C + 0.5 + 1e-9).astype(np.int64)
    test_C = np.clip(photos_C - 1, 0, test_C)
    return test_C, np.minimum(validation_C, np.maximum(photos_C - 1 - test_C, 0))


def _deal(group_sizes: NDArray[np.int64], test: int, validation: int) -> NDArray[np.uint8]:
    """Give groups in order to test and validation until both have their share; the rest is train."""
    dealt = np.full(len(group_sizes), TRAIN, np.uint8)
    for i, size in enumerate(group_sizes.tolist()):
        if size <= test:
            dealt[i], test = TEST, test - size
        elif size <= validation:
            dealt[i], validation = VALIDATION, validation - size
        if not test and not validation:
            break
    return dealt


def keep_groups_together(
    split_N: NDArray[np.uint8], group_N: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A given split with every group that crosses it moved to train as a whole, and which rows are in such groups."""
    crossing = crossing_rows(split_N, group_N)
    return np.where(crossing, np.uint8(TRAIN), split_N), crossing


def crossing_rows(split_N: NDArray[np.uint8], group_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows whose group has rows in more than one split: bool [N]."""
    if not len(group_N):
        return np.zeros(0, bool)
    seen = np.zeros((int(group_N.max()) + 1, 3), bool)
    seen[group_N, split_N] = True
    crossing_N: NDArray[np.bool_] = (seen.sum(axis=1) > 1)[group_N]
    return crossing_N


def leaked(split_N: NDArray[np.uint8], group_N: NDArray[np.int64]) -> int:
    """Test and validation photos that have a duplicate in train."""
    if not len(group_N):
        return 0
    in_train = np.zeros(int(group_N.max()) + 1, bool)
    in_train[group_N[split_N == TRAIN]] = True
    return int((in_train[group_N] & (split_N != TRAIN)).sum())
