"""Positions of true classes equal plain loops on random scores with ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.report.positions import (
    segment_level,
    sum_probabilities,
    true_position,
    true_position_above_top_k,
    true_position_in_top_k,
)


@pytest.mark.parametrize("seed", range(5))
def test_position_equals_the_loop(slow_position: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 4, size=(40, 9)).astype(np.float32)  # many ties
    labels = random.integers(0, 9, size=40)
    assert true_position(scores, labels).tolist() == [slow_position(s, y) for s, y in zip(scores, labels, strict=True)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_k", [1, 4, 9])
def test_position_in_top_k_equals_the_loop(slow_position: Any, seed: int, top_k: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 4, size=(40, 9)).astype(np.float32)
    labels = random.integers(0, 9, size=40)
    classes = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].astype(np.int32)
    best = np.take_along_axis(scores, classes, axis=1)
    expected = [min(top_k, slow_position(s, y)) for s, y in zip(scores, labels, strict=True)]
    assert true_position_in_top_k(best, classes, labels).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_k", [1, 4, 9])
def test_position_above_top_k_equals_the_loop(slow_position: Any, slow_sums: Any, seed: int, top_k: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(40, 9)).astype(np.float32)
    above = np.array([0, 0, 1, 3, 3, 3, 1, 0, 4], dtype=np.int32)  # class 2 has no leaves
    labels = above[random.integers(0, 9, size=40)].astype(np.int64)
    classes = np.argsort(-scores, axis=1)[:, :top_k]
    best = np.take_along_axis(scores, classes, axis=1)
    expected = []
    for row, stored, label in zip(best, classes, labels, strict=True):
        sums = slow_sums(row, above[stored], 5)
        expected.append(slow_position(sums, label) if label in above[stored] else top_k)
    assert true_position_above_top_k(best, above[classes], labels).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [1, 800])
def test_sums_over_the_leaves_below_a_class_equal_the_loop(slow_sums: Any, seed: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    scores = (random.normal(size=(20, 9)) * spread).astype(np.float32)
    above = random.integers(0, 4, size=9).astype(np.int32)
    above[above == 2] = 3  # a class without leaves
    expected = [slow_sums(s, above, 4) for s in scores]
    np.testing.assert_allclose(sum_probabilities(scores, segment_level(above), 4), expected, rtol=1e-6)
