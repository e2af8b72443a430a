"""Split rows into train, test and validation per leaf (paper S §4.1, 7:2:1) without separating duplicates.

Shapes: N rows, G duplicate groups, C leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.data.prepare.majority import count_pairs

TRAIN, TEST, VALIDATION = 0, 1, 2
CODES = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
CODES |= dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION)

_ROUNDING = 0.5 + 1e-9
"""Added before floor: rounds half up, and absorbs rounding errors such as 0.7 * 45 = 31.499999999999996."""


@dataclass(frozen=True)
class Ratios:
    """Shares of train, test and validation; they sum to 1."""

    train: float = 0.7
    test: float = 0.2
    validation: float = 0.1


def parse_ratios(text: str) -> Ratios:
    """Parse `train:test:validation`, such as 7:2:1. Raise BadOption unless train is positive and none is negative."""
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
    """Return the split of every row, uint8 [N]. All rows of a group get the same split.

    At 7:2:1, a leaf with n photos gets floor(0.2 n + 1/2) test photos and floor(0.1 n + 1/2) validation photos. With
    `balanced_test`, it gets that many test photos, at most n / 2. At least one photo goes to train. A group belongs to
    the leaf of most of its rows. It is assigned to test or validation only if it fits completely, so these splits do
    not exceed their shares. Only if no group of a leaf fits, one of the smallest goes to test if half of it fits: four
    products with three photos each leave one for test. With `balanced_test`, none does.

    The split of a leaf depends only on the seed, the name of the leaf and its own rows: other leaves may be added,
    removed or renumbered.
    """
    if not len(leaf_N):
        return np.zeros(0, np.uint8)
    leaf_G, size_G = _majority_leaves(leaf_N, group_N)
    groups_C = np.bincount(leaf_G, minlength=len(leaves))
    start_C = np.cumsum(groups_C) - groups_C  # position of the first group of every leaf, once sorted by leaf
    order_G = np.argsort(leaf_G, kind="stable")
    leaf_G, size_G = leaf_G[order_G], size_G[order_G]
    position_G = np.arange(len(leaf_G)) - start_C[leaf_G]  # within the leaf

    # Shuffle within each leaf by sorting once: the leaf in the high bits, a random number in the others.
    random_bits = np.uint64(64 - len(leaves).bit_length())
    random_G = _splitmix64(_leaf_seeds(leaves, seed)[leaf_G], position_G) >> (np.uint64(64) - random_bits)
    shuffled_G = np.argsort(leaf_G.astype(np.uint64) << random_bits | random_G, kind="stable")
    order_G, size_G = order_G[shuffled_G], size_G[shuffled_G]

    photos_C = np.bincount(leaf_G, size_G, minlength=len(leaves)).astype(np.int64)
    test_C, validation_C = _target_sizes(photos_C, ratios, balanced_test)
    is_test_G = position_G < test_C[leaf_G]
    is_validation_G = ~is_test_G & (position_G < (test_C + validation_C)[leaf_G])
    sorted_split_G = np.select([is_test_G, is_validation_G], [np.uint8(TEST), np.uint8(VALIDATION)], np.uint8(TRAIN))
    # Positions count groups. In leaves with larger groups, photos must be counted instead.
    for leaf in np.flatnonzero(photos_C > groups_C).tolist():
        own = slice(int(start_C[leaf]), int(start_C[leaf] + groups_C[leaf]))
        sorted_split_G[own] = _assign_groups(size_G[own], int(test_C[leaf]), int(validation_C[leaf]))
        if balanced_test is None and not (sorted_split_G[own] == TEST).any():
            _round_up_test(sorted_split_G[own], size_G[own], int(test_C[leaf]))
    split_G = np.empty_like(sorted_split_G)
    split_G[order_G] = sorted_split_G
    return split_G[group_N]


def _majority_leaves(
    leaf_N: NDArray[np.integer[Any]], group_N: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the leaf of most rows of every group, the first of equally frequent ones, and the size of the group."""
    size_G = np.bincount(group_N)
    leaf_G = np.empty(len(size_G), np.int64)
    leaf_G[group_N] = leaf_N
    in_larger_group_N = size_G[group_N] > 1
    pairs = count_pairs(group_N[in_larger_group_N], leaf_N[in_larger_group_N], int(leaf_N.max()) + 1)
    leaf_G[pairs.key_P[pairs.is_majority_P]] = pairs.partner_P[pairs.is_majority_P]
    return leaf_G, size_G


def _leaf_seeds(leaves: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """Return a number for every leaf that depends on its name and on `seed`."""
    key = hashlib.blake2b(str(seed).encode()).digest()
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in leaves)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _splitmix64(seed_G: NDArray[np.uint64], position_G: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return number `position_G` of the random stream of `seed_G` (SplitMix, Steele et al. 2014)."""
    x = seed_G + (position_G.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    random_G: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return random_G


def _target_sizes(
    photos_C: NDArray[np.int64], ratios: Ratios, balanced_test: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of test and validation photos of leaves with `photos_C` photos; they leave one for train."""
    if balanced_test is None:
        test_C = np.floor(ratios.test * photos_C + _ROUNDING).astype(np.int64)
    else:
        test_C = np.minimum(balanced_test, photos_C // 2)
    validation_C = np.floor(ratios.validation * photos_C + _ROUNDING).astype(np.int64)
    test_C = np.clip(photos_C - 1, 0, test_C)
    return test_C, np.minimum(validation_C, np.maximum(photos_C - 1 - test_C, 0))


def _assign_groups(group_sizes: NDArray[np.int64], test: int, validation: int) -> NDArray[np.uint8]:
    """Assign each group, in order, to test if it fits, else to validation if it fits, else to train."""
    split = np.full(len(group_sizes), TRAIN, np.uint8)
    for i, size in enumerate(group_sizes.tolist()):
        if size <= test:
            split[i], test = TEST, test - size
        elif size <= validation:
            split[i], validation = VALIDATION, validation - size
        if not test and not validation:
            break
    return split


def _round_up_test(split: NDArray[np.uint8], group_sizes: NDArray[np.int64], test: int) -> None:
    """Move the first of the smallest groups to test, in place, if half of it fits and another group stays in train."""
    smallest = int(group_sizes.argmin())
    if split[smallest] == TRAIN and (split == TRAIN).sum() > 1 and group_sizes[smallest] <= 2 * test:
        split[smallest] = TEST


def move_crossing_groups(
    split_N: NDArray[np.uint8], group_N: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Move groups with rows in several splits to train. Return the splits, and a mask of the rows in such groups."""
    is_crossing_N = crossing_rows(split_N, group_N)
    return np.where(is_crossing_N, np.uint8(TRAIN), split_N), is_crossing_N


def crossing_rows(split_N: NDArray[np.uint8], group_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the rows whose group has rows in several splits: bool [N]."""
    if not len(group_N):
        return np.zeros(0, bool)
    has_split_G3 = np.zeros((int(group_N.max()) + 1, 3), bool)
    has_split_G3[group_N, split_N] = True
    is_crossing_N: NDArray[np.bool_] = (has_split_G3.sum(axis=1) > 1)[group_N]
    return is_crossing_N


def count_leaks(split_N: NDArray[np.uint8], group_N: NDArray[np.int64]) -> int:
    """Return the number of test and validation photos with a duplicate in train."""
    if not len(group_N):
        return 0
    in_train_G = np.zeros(int(group_N.max()) + 1, bool)
    in_train_G[group_N[split_N == TRAIN]] = True
    return int((in_train_G[group_N] & (split_N != TRAIN)).sum())


def empty_split_notes(split_N: NDArray[np.uint8], ratios: str, *, is_given: bool) -> list[str]:
    """Return a sentence on train or test if it has no rows, although it should.

    ratios:   as in `parse_ratios`
    is_given: whether the inputs give the splits instead
    """
    rows_3 = np.bincount(split_N, minlength=3)
    if not rows_3[TRAIN]:
        remedy = "give the tables of all splits, or split all rows anew without --split-column"
        return [f"no row is in train, so nothing can be trained on this dataset; {remedy}"]
    if not rows_3[TEST] and (is_given or parse_ratios(ratios).test):
        why = "the given splits have none" if is_given else "every class has too few photos or too few products"
        return [f"no row is in test, so nothing can be measured on it: {why}"]
    return []
