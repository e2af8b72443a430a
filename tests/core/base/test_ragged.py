"""Ragged behaves like the list of lists of the same values."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from prodrec.core.base.ragged import Ragged

LISTS = [[3, 1], [], [7], [5, 5, 2], []]


def make_ragged(lists: list[list[int]]) -> Ragged:
    return Ragged.from_lengths(
        np.array(list(chain.from_iterable(lists)), np.int32), np.array([len(row) for row in lists], np.int64)
    )


def test_it_contains_the_rows() -> None:
    ragged = make_ragged(LISTS)
    assert [row.tolist() for row in ragged] == LISTS
    assert len(ragged) == 5
    assert ragged.lengths.tolist() == [2, 0, 1, 3, 0]
    assert ragged.values.dtype == np.int32
    assert ragged.offsets.dtype == np.int64
    assert ragged[-2].tolist() == [5, 5, 2]


def test_a_missing_row_raises() -> None:
    ragged = make_ragged(LISTS)
    for row in (5, -6):
        with pytest.raises(IndexError, match="of 5"):
            ragged[row]


@pytest.mark.parametrize("rows", [[3, 0, 3, 1], [], [4], [1, 4]])
def test_take_equals_indexing_the_lists(rows: list[int]) -> None:
    taken = make_ragged(LISTS).take(np.array(rows, dtype=np.int64))
    assert [row.tolist() for row in taken] == [LISTS[row] for row in rows]


@pytest.mark.parametrize("rows", [[3, 0, 1], [1, 4], [2], []])
def test_padded_appends_zeros(rows: list[int]) -> None:
    padded = make_ragged(LISTS).padded(rows)
    longest = max([1, *(len(LISTS[row]) for row in rows)])
    assert padded.tolist() == [LISTS[row] + [0] * (longest - len(LISTS[row])) for row in rows]
    assert padded.shape == (len(rows), longest)
    assert padded.dtype == np.int64


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_filter_removes_values_and_no_rows(chunk_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.core.base.ragged.CHUNK_ROWS", chunk_rows)
    ragged = make_ragged(LISTS)
    filtered = ragged.filter(ragged.values > 2)
    assert [row.tolist() for row in filtered] == [[3], [], [7], [5, 5], []]


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_value_counts_counts_the_values_of_some_rows(chunk_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.core.base.ragged.CHUNK_ROWS", chunk_rows)
    counts = make_ragged(LISTS).value_counts(np.array([True, True, False, True, True]), size=8)
    assert counts.tolist() == [0, 1, 1, 1, 0, 2, 0, 0] and counts.dtype == np.int64


def test_no_rows() -> None:
    assert len(make_ragged([])) == 0
    assert list(make_ragged([])) == []


def test_offsets_must_fit_the_values() -> None:
    with pytest.raises(ValueError):
        Ragged(np.zeros(3, np.int32), np.array([0, 2]))
