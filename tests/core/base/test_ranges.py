"""Offsets, indices and chunks of consecutive ranges."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.ranges import concatenated_ranges, offsets_from_lengths, split_into_chunks

LENGTHS = [1, 0, 2, 2, 27, 1, 0]


@pytest.mark.parametrize("lengths", [LENGTHS, [], [0], [0, 0, 3]])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint32])
def test_offsets_are_the_running_sum_of_the_lengths(lengths: list[int], dtype: type) -> None:
    offsets = offsets_from_lengths(np.array(lengths, dtype))
    assert offsets.tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)] and offsets.dtype == np.int64


@pytest.mark.parametrize("starts", [[5, 0, 5, 7, 3, 0, 9], [0, 0, 0, 0, 0, 0, 0]])
def test_ranges_are_concatenated_in_order(starts: list[int]) -> None:
    expected = [i for start, length in zip(starts, LENGTHS, strict=True) for i in range(start, start + length)]
    indices = concatenated_ranges(np.array(starts), np.array(LENGTHS))
    assert indices.tolist() == expected and indices.dtype == np.int64


def test_no_ranges_have_no_indices() -> None:
    nothing = np.empty(0, np.int64)
    assert concatenated_ranges(nothing, nothing).tolist() == []
    assert concatenated_ranges(np.array([3, 4]), np.array([0, 0])).tolist() == []


@pytest.mark.parametrize("size", [1, 3, 5, 1000])
def test_chunks_contain_every_item_once(size: int) -> None:
    offsets = offsets_from_lengths(np.array(LENGTHS))
    chunks = list(split_into_chunks(offsets, size))
    assert [first for first, _ in chunks] == [0, *(last for _, last in chunks[:-1])] and chunks[-1][1] == len(LENGTHS)
    assert all(last > first for first, last in chunks)
    assert all(offsets[last] - offsets[first] <= size or last == first + 1 for first, last in chunks)
