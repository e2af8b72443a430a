"""Exact or approximate search, and the number of lists that are searched, against plain loops.

Shapes: N training vectors, M queries, D numbers of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.inference.neighbours import choose_lists as module
from prodrec.inference.neighbours.choose_lists import RECALL, K, check_search, choose_lists, draw_queries
from prodrec.inference.neighbours.lists import SearchLists
from prodrec.inference.neighbours.projection import Projection

pytest.importorskip("faiss")
N, M, D = 1500, 60, 16
PROJECTION = Projection(torch.zeros(D), torch.eye(D))


def draw_clusters(rows: int, seed: int, *, noise: float) -> NDArray[np.float16]:
    """Return vectors of length 1 around 40 directions."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(40, D))
    vectors_Nd = centres[rng.integers(40, size=rows)] + noise * rng.normal(size=(rows, D))
    return (vectors_Nd / np.linalg.norm(vectors_Nd, axis=1, keepdims=True)).astype(np.float16)


VECTORS_ND, QUERY_MD = draw_clusters(N, 0, noise=0.2), draw_clusters(M, 1, noise=0.2)
GROUP_N = np.arange(N) // 2 * 2


def choose(search: str, vectors_Nd: NDArray[np.float16] = VECTORS_ND, **options: Any) -> SearchLists | None:
    return choose_lists(vectors_Nd, GROUP_N[: len(vectors_Nd)], PROJECTION, search=search, **options)


def recall_by_loops(lists: SearchLists, probes: int, queries_Md: NDArray[np.float16], *, skipped: int = 0) -> float:
    """Return the share of the K nearest products, by their ids, that `probes` lists contain."""
    shares = []
    for query_d in queries_Md.astype(np.float32):
        query_d = query_d / np.linalg.norm(query_d) if not skipped else query_d
        searched = np.argsort(-lists.centroid_Ld @ query_d)[:probes]
        nearest: list[list[int]] = []
        for rows in (np.arange(N), np.flatnonzero(np.isin(lists.list_N, searched))):
            order = rows[np.argsort(-VECTORS_ND[rows].astype(np.float32) @ query_d, kind="stable")]
            nearest.append(list(dict.fromkeys(GROUP_N[order].tolist()))[skipped : K + skipped])
        shares.append(len({*nearest[0]} & {*nearest[1]}) / K)
    return float(np.mean(shares))


def test_the_fewest_lists_with_enough_recall(capsys: pytest.CaptureFixture[str]) -> None:
    lists = choose("approximate", query_MD=QUERY_MD)
    assert lists is not None and lists.validation and lists.queries == M
    assert lists.recall >= RECALL and 1 < lists.probes < len(lists.centroid_Ld)
    assert lists.recall == pytest.approx(recall_by_loops(lists, lists.probes, QUERY_MD), abs=2e-3)
    assert recall_by_loops(lists, lists.probes // 2, QUERY_MD) < RECALL
    assert f"search: {lists}" in capsys.readouterr().err.replace("\n", " ")


def test_without_validation_photos_recall_is_that_of_training_photos_without_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_QUERIES", M)
    for query_MD in (None, QUERY_MD[:0]):
        lists = choose("approximate", query_MD=query_MD)
        assert lists is not None and not lists.validation and lists.queries == M
        queries_Md = VECTORS_ND[draw_queries(np.arange(N))]
        expected = recall_by_loops(lists, lists.probes, queries_Md, skipped=1)
        assert lists.recall == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("search", "expected"), [("auto", True), ("approximate", True), ("exact", False)])
def test_many_vectors_have_lists(monkeypatch: pytest.MonkeyPatch, search: str, expected: bool) -> None:
    monkeypatch.setattr(module, "APPROXIMATE_ABOVE", N - 1)
    monkeypatch.setattr(module, "MAX_SHARE_OF_LISTS", 1)
    assert (choose(search, query_MD=QUERY_MD) is not None) == expected


def test_few_vectors_are_searched_exactly() -> None:
    assert choose("auto") is None


@pytest.mark.parametrize("vectors", [1, 2, 30])
def test_very_few_vectors_have_lists_on_request(vectors: int) -> None:
    lists = choose("approximate", VECTORS_ND[:vectors], query_MD=QUERY_MD)
    assert lists is not None and lists.recall >= RECALL and lists.list_N.shape == (vectors,)


def test_vectors_without_clusters_are_searched_exactly_unless_requested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "APPROXIMATE_ABOVE", N - 1)
    vectors_Nd, query_MD = draw_clusters(N, 0, noise=9), draw_clusters(M, 1, noise=9)
    assert choose("auto", vectors_Nd, query_MD=query_MD) is None
    assert "search: exact in 1,500 training vectors, since lists save little" in capsys.readouterr().err
    lists = choose("approximate", vectors_Nd, query_MD=query_MD)
    assert lists is not None and lists.probes > module.MAX_SHARE_OF_LISTS * len(lists.centroid_Ld)


def test_without_faiss_search_remains_exact_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "APPROXIMATE_ABOVE", N - 1)
    monkeypatch.setattr(module, "obstacle", lambda: "needs faiss")
    assert choose("auto") is None
    error = capsys.readouterr().err.replace("\n", " ")
    assert "search: exact in 1,500 training vectors, which is slow on a CPU; approximate search needs faiss" in error
    with pytest.raises(BadOption, match="--search approximate needs faiss; or use --search exact"):
        check_search("approximate")
    check_search("auto")
    with pytest.raises(BadOption, match="--search best: expected auto, exact, approximate"):
        check_search("best")
