"""Groups of rows: numbering, joining, sizes and conflicts."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.data.duplicates.groups import (
    conflicting_rows,
    group_sizes,
    identical_groups,
    join_pairs,
    renumber_groups,
)


def test_groups_are_numbered_in_order_of_first_rows() -> None:
    assert renumber_groups(np.array([7, 3, 7, 9, 3])).tolist() == [0, 1, 0, 2, 1]
    assert renumber_groups(np.empty(0, np.int64)).tolist() == []


def test_exact_groups() -> None:
    digests = np.random.default_rng(0).integers(0, 256, (5, 16), dtype=np.uint8)
    rows = np.array([4, 2, 4, 0, 2, 2])
    assert identical_groups(digests[rows]).tolist() == [0, 1, 0, 2, 1, 1]
    last_byte = np.zeros((2, 16), np.uint8)
    last_byte[1, 15] = 1
    assert identical_groups(last_byte).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_joining_follows_chains(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 60
    pairs = random.integers(0, n, (random.integers(0, 70), 2))
    blocks = np.array_split(pairs, 4)
    member = list(range(n))
    for i, j in pairs:  # a slow reference: rename one side to the other
        old, new = member[i], member[j]
        member = [new if m == old else m for m in member]
    group = join_pairs(np.arange(n), blocks)
    assert group.tolist() == renumber_groups(np.array(member)).tolist()


def test_joining_starts_from_given_groups() -> None:
    start = np.array([0, 0, 2, 2, 4])
    assert join_pairs(start, []).tolist() == [0, 0, 1, 1, 2]
    assert join_pairs(start, [np.array([[3, 4]])]).tolist() == [0, 0, 1, 1, 1]


def test_group_sizes() -> None:
    assert group_sizes(np.array([0, 1, 0, 2, 0])).tolist() == [3, 1, 3, 1, 3]
    assert group_sizes(np.empty(0, np.int64)).tolist() == []


def test_conflicts() -> None:
    exact = np.array([0, 1, 0, 2, 1, 3, 0])
    leaf = np.array([5, 6, 5, 7, 8, 7, 9], np.int32)
    assert conflicting_rows(exact, leaf).tolist() == [True, True, True, False, True, False, True]
    assert not conflicting_rows(exact, np.full(7, 4, np.int32)).any()
    assert conflicting_rows(exact[:0], leaf[:0]).tolist() == []
