"""Flat arrays with offsets behave like the list of lists they stand for."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from prodrec.core.base.ragged import Ragged

LISTS = [[3, 1], [], [7], [5, 5, 2], []]


def ragged_of(lists: list[list[int]]) -> Ragged:
    return Ragged.from_lengths(
        np.array(list(chain.from_iterable(lists)), np.int32), np.array([len(row) for row in lists], np.int64)
    )


def test_rows_come_back_as_they_went_in() -> None:
    ragged = ragged_of(LISTS)
    assert [row.tolist() for row in ragged] == LISTS
    assert len(ragged) == 5
    assert ragged.lengths.tolist() == [2, 0, 1, 3, 0]
    assert ragged.values.dtype == np.int32
    assert ragged.offsets.dtype == np.int64
    assert ragged[-2].tolist() == [5, 5, 2]


def test_a_row_that_is_not_there_raises() -> None:
    ragged = ragged_of(LISTS)
    for row in (5, -6):
        with pytest.raises(IndexError, match="of 5"):
            ragged[row]


@pytest.mark.parametrize("rows", [[3, 0, 3, 1], [], [4], [1, 4]])
def test_take_equals_taking_from_the_lists(rows: list[int]) -> None:
    taken = ragged_of(LISTS).take(np.array(rows, dtype=np.int64))
    assert [row.tolist() for row in taken] == [LISTS[row] for row in rows]


@pytest.mark.parametrize("rows", [[3, 0, 1], [1, 4], [2], []])
def test_padded_fills_with_zeros_behind_the_ends(rows: list[int]) -> None:
    padded = ragged_of(LISTS).padded(rows)
    longest = max([1, *(len(LISTS[row]) for row in rows)])
    assert padded.tolist() == [LISTS[row] + [0] * (longest - len(LISTS[row])) for row in rows]
    assert padded.shape == (len(rows), longest)
    assert padded.dtype == np.int64


def test_keep_leaves_out_values_and_keeps_the_rows() -> None:
    ragged = ragged_of(LISTS)
    kept = ragged.keep(ragged.values > 2)
    assert [row.tolist() for row in kept] == [[3], [], [7], [5, 5], []]


def test_no_rows_at_all() -> None:
    assert len(ragged_of([])) == 0
    assert list(ragged_of([])) == []


def test_offsets_that_do_not_fit_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        Ragged(np.zeros(3, np.int32), np.array([0, 2]))
