"""Sparse counts, compared with a dictionary; and what happens when there are more keys than room for them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from prodrec.eval.page.sparse_counts import SparseCounts


def add(counts: SparseCounts, keys: list[int], priorities: list[float], rows: list[int]) -> None:
    values = np.stack([np.ones(len(keys), dtype=np.int64), np.arange(len(keys))], axis=1)
    counts.add(np.array(keys, dtype=np.int64), values, np.array(priorities), np.array(rows))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_counts_equal_those_of_a_dictionary(chunk: int) -> None:
    random = np.random.default_rng(0)
    keys, priorities = random.integers(0, 50, 300).tolist(), random.random(300).tolist()
    counts = SparseCounts(2, capacity=60)
    for start in range(0, 300, chunk):
        part = slice(start, start + chunk)
        add(counts, keys[part], priorities[part], list(range(300))[part])
    found, values, rows = counts.result()
    assert dict(zip(found.tolist(), values[:, 0].tolist(), strict=True)) == Counter(keys) and counts.shortfall == 0
    assert found.tolist() == sorted(set(keys))
    best = {key: max((i for i in range(300) if keys[i] == key), key=lambda i: priorities[i]) for key in set(keys)}
    assert dict(zip(found.tolist(), rows.tolist(), strict=True)) == best


def test_frequent_keys_survive_and_the_shortfall_bounds_what_is_missing() -> None:
    random = np.random.default_rng(0)
    keys = np.r_[np.repeat(np.arange(5), 200), np.arange(100, 3100)]
    random.shuffle(keys)
    counts = SparseCounts(1, capacity=100)
    for part in np.array_split(keys, 80):
        counts.add(part, np.ones((len(part), 1), dtype=np.int64), np.zeros(len(part)), part)
    found, values, _ = counts.result()
    assert len(found) <= 100 and counts.shortfall > 0
    for key in range(5):
        (index,) = np.flatnonzero(found == key)
        assert 200 - counts.shortfall <= values[index, 0] <= 200


def test_nothing_was_counted() -> None:
    counts = SparseCounts(2)
    add(counts, [], [], [])
    keys, values, rows = counts.result()
    assert len(keys) == len(rows) == 0 and values.shape == (0, 2)
