from __future__ import annotations

from collections import Counter

import numpy as np

from prodrec.core.data.prepare.majority import count_pairs


def test_pairs_are_counted_and_the_most_frequent_partner_comes_first() -> None:
    pairs = count_pairs(np.array([1, 0, 1, 1, 0]), np.array([2, 1, 0, 2, 0]), 3)
    assert pairs.key_P.tolist() == [0, 0, 1, 1]
    assert pairs.partner_P.tolist() == [0, 1, 2, 0]  # of equally frequent partners the lowest comes first
    assert pairs.rows_P.tolist() == [1, 1, 2, 1]
    assert pairs.is_majority_P.tolist() == [True, False, True, False]


def test_against_a_simple_count() -> None:
    key, partner = np.random.default_rng(0).integers(0, [[5], [7]], (2, 200)).astype(np.int32)
    pairs = count_pairs(key, partner, 7)
    counts = Counter(zip(key.tolist(), partner.tolist(), strict=True))
    assert dict(zip(zip(pairs.key_P, pairs.partner_P, strict=True), pairs.rows_P, strict=True)) == counts
    majority = dict(zip(pairs.key_P[pairs.is_majority_P], pairs.partner_P[pairs.is_majority_P], strict=True))
    assert majority == {k: min(range(7), key=lambda p: (-counts[k, p], p)) for k in range(5)}


def test_no_rows() -> None:
    pairs = count_pairs(np.empty(0, np.int64), np.empty(0, np.int64), 3)
    assert [len(array) for array in pairs] == [0, 0, 0, 0]
