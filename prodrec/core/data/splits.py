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

from prodrec.core.errors import BadOption

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
    split_N = np.zeros(len(leaf_N), np.uint8)
    if not len(leaf_N):
        return split_N
    home, group_sizes = _homes(leaf_N, group_N)
    split_G = np.zeros(len(home), np.uint8)
    by_leaf = np.argsort(home, kind="stable")
    starts = np.searchsorted(home[by_leaf], np.arange(len(leaves) + 1))
    for leaf, name in enumerate(leaves):
        groups = by_leaf[starts[leaf] : starts[leaf + 1]]
        if len(groups) > 1:
            n = int(group_sizes[groups].sum())
            random = np.random.default_rng([seed, _number(name)])
            order = groups[random.permutation(len(groups))]
            split_G[order] = _deal(group_sizes[order], *_targets(n, ratios, balanced_test))
    return split_G[group_N]


def _homes(leaf_N: NDArray[np.integer[Any]], group_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The leaf that most rows of a group have (the first where two are equal), and how many rows it has, by group."""
    leaves = int(leaf_N.max()) + 1
    pairs, rows = np.unique(group_N * leaves + leaf_N, return_counts=True)
    group, leaf = np.divmod(pairs, leaves)
    order = np.lexsort((leaf, -rows, group))
    first = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    return leaf[first], np.bincount(group_N)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _targets(n: int, ratios: Ratios, balanced_test: int | None) -> tuple[int, int]:
    """How many of n photos go to test and to validation."""
    test = int(np.floor(ratios.test * n + 0.5 + 1e-9)) if balanced_test is None else min(balanced_test, n // 2)
    validation = int(np.floor(ratios.validation * n + 0.5 + 1e-9))
    test = min(test, n - 1)
    return test, min(validation, n - 1 - test)


def _deal(group_sizes: NDArray[np.int64], test: int, validation: int) -> NDArray[np.uint8]:
    """Give groups in order to test and validation until both have their share; the rest is train."""
    dealt = np.zeros(len(group_sizes), np.uint8)
    if group_sizes.max() == 1:
        dealt[:test] = TEST
        dealt[test : test + validation] = VALIDATION
        return dealt
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
