"""Lists of training vectors against plain loops, and what is reported where faiss cannot be used.

Shapes: N vectors, d numbers of a vector, L lists, A queries.
"""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.inference.neighbours import lists
from prodrec.inference.neighbours.lists import ListIndex, SearchLists, fit_lists, list_count, obstacle

pytest.importorskip("faiss")
N, D, L, A = 300, 8, 10, 7


def draw(rows: int, seed: int) -> NDArray[np.float32]:
    vectors_Nd = np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)
    return vectors_Nd / np.linalg.norm(vectors_Nd, axis=1, keepdims=True)


VECTORS_ND = draw(N, 0).astype(np.float16)


@pytest.mark.parametrize(
    ("vectors", "expected"), [(1, 1), (2, 2), (40, 16), (1_000_000, 2048), (2_000_000, 2048), (10_000_000, 8192)]
)
def test_number_of_lists(vectors: int, expected: int) -> None:
    assert list_count(vectors) == expected


def test_every_vector_is_in_the_list_of_its_nearest_centroid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "ROWS_AT_ONCE", 64)
    centroid_Ld, list_N = fit_lists(VECTORS_ND, L)
    np.testing.assert_allclose(np.linalg.norm(centroid_Ld, axis=1), 1, rtol=1e-5)
    assert list_N.tolist() == (VECTORS_ND.astype(np.float32) @ centroid_Ld.T).argmax(1).tolist()
    assert len(set(list_N.tolist())) == L


@pytest.mark.parametrize("probes", [1, 3, L])
def test_candidates_are_the_nearest_vectors_of_the_nearest_lists(monkeypatch: pytest.MonkeyPatch, probes: int) -> None:
    monkeypatch.setattr(lists, "ROWS_AT_ONCE", 64)
    centroid_Ld, list_N = fit_lists(VECTORS_ND, L)
    queries_Ad = draw(A, 1)
    index_Ak = ListIndex(centroid_Ld, list_N, VECTORS_ND).candidates(queries_Ad, 50, probes)
    for query_d, index_k in zip(queries_Ad, index_Ak, strict=True):
        searched = np.argsort(-centroid_Ld @ query_d)[:probes]
        rows = np.flatnonzero(np.isin(list_N, searched))
        expected = rows[np.argsort(-VECTORS_ND[rows].astype(np.float32) @ query_d)][:50]
        assert index_k.tolist() == [*expected.tolist(), *[-1] * (50 - len(expected))]


def test_description() -> None:
    described = SearchLists(np.zeros((4096, D), np.float32), np.zeros(N, np.int32), 16, 0.9876, 1000, validation=True)
    assert str(described) == (
        "approximate: 16 of 4,096 lists contain 98.8% of the nearest training photos of 1,000 validation photos"
    )


def test_faiss_needs_linux_and_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert obstacle() is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert obstacle() == "needs faiss, which is not installed: `pip install 'prodrec[faiss]'`"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert str(obstacle()).startswith("needs Linux")
