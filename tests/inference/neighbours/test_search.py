"""Search against a full sort, with products of several photos, in chunks, in lists and over ranks.

Shapes: B photos, N training photos, D numbers of a vector, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from prodrec.core.base import dist
from prodrec.core.base.texts import Texts
from prodrec.inference.neighbours import search
from prodrec.inference.neighbours.lists import SearchLists, fit_lists, list_count
from prodrec.inference.neighbours.projection import Projection
from prodrec.inference.neighbours.search import Searcher
from prodrec.inference.neighbours.training_features import TrainingFeatures

D = 6


def draw_features(n: int, *, photos_per_product: int = 1) -> TrainingFeatures:
    generator = torch.Generator().manual_seed(n)
    vectors_ND = F.normalize(torch.randn(n, D, generator=generator), dim=1).half().numpy()
    group_N = np.arange(n) // photos_per_product * photos_per_product
    ids = Texts.from_strings(f"P{group}" for group in group_N)
    classes_N = (np.arange(n) % 4).astype(np.int32)
    projection = Projection(torch.zeros(D), torch.eye(D))
    rows_N = np.arange(n)
    return TrainingFeatures("leaf", projection, vectors_ND, classes_N, group_N.astype(np.int64), rows_N, ids, "hash")


def draw_queries(b: int) -> torch.Tensor:
    return F.normalize(torch.randn(b, D, generator=torch.Generator().manual_seed(b)), dim=1)


def nearest_by_loops(queries_BD: torch.Tensor, features: TrainingFeatures, k: int) -> list[list[int]]:
    cosine_BN = queries_BD.double().numpy() @ features.vectors_Nd.astype(np.float64).T
    found = []
    for cosine_N in cosine_BN:
        kept: dict[int, int] = {}
        for index in np.argsort(-cosine_N):
            kept.setdefault(int(features.group_N[index]), int(index))
        found.append(list(kept.values())[:k])
    return found


def indices(nearest: search.Nearest) -> list[list[int]]:
    rows = zip(nearest.index_Bk.tolist(), nearest.cosine_Bk.tolist(), strict=True)
    return [[i for i, cosine in zip(index_k, cosine_k, strict=True) if cosine > -np.inf] for index_k, cosine_k in rows]


@pytest.mark.parametrize("chunk", [16, 10**6])
@pytest.mark.parametrize(("n", "k"), [(50, 5), (50, 50), (3, 5), (1, 1)])
@pytest.mark.parametrize("photos_per_product", [1, 3])
def test_nearest_photos_of_different_products(
    monkeypatch: pytest.MonkeyPatch, chunk: int, n: int, k: int, photos_per_product: int
) -> None:
    monkeypatch.setattr(search, "CHUNK_COSINES", chunk)
    features, queries_BD = draw_features(n, photos_per_product=photos_per_product), draw_queries(4)
    nearest = Searcher.load(features, torch.device("cpu"), sharded=False).nearest(queries_BD, k)
    assert nearest.cosine_Bk.shape == nearest.index_Bk.shape == (4, k)
    assert indices(nearest) == nearest_by_loops(queries_BD, features, k)


def test_vectors_that_stay_in_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    features, queries_BD = draw_features(40), draw_queries(3)
    in_float32 = Searcher.load(features, torch.device("cpu"), sharded=False)
    monkeypatch.setattr(search, "MAX_FLOAT32_BYTES", 0)
    in_float16 = Searcher.load(features, torch.device("cpu"), sharded=False)
    assert (in_float32.vectors_nd.dtype, in_float16.vectors_nd.dtype) == (torch.float32, torch.float16)
    assert torch.equal(in_float32.nearest(queries_BD, 5).index_Bk, in_float16.nearest(queries_BD, 5).index_Bk)


def search_on_rank(n: int) -> list[NDArray[Any]]:
    """Return the neighbours of this rank's queries; rank 0 has none of them."""
    searcher = Searcher.load(draw_features(n, photos_per_product=2), torch.device("cpu"), sharded=True)
    return [values.numpy() for values in searcher.nearest(draw_queries(6)[: 3 * dist.rank()], 4)]


@pytest.mark.parametrize("n", [31, 1])
def test_shards_on_ranks_find_the_same(on_ranks: Callable[..., list[Any]], n: int) -> None:
    whole = Searcher.load(draw_features(n, photos_per_product=2), torch.device("cpu"), sharded=False)
    for rank, (cosine_Bk, index_Bk) in enumerate(on_ranks(3, search_on_rank, n)):
        expected = whole.nearest(draw_queries(6)[: 3 * rank], 4)
        np.testing.assert_allclose(cosine_Bk, expected.cosine_Bk.numpy(), rtol=1e-6)
        found = search.Nearest(torch.from_numpy(cosine_Bk), torch.from_numpy(index_Bk))
        assert indices(found) == indices(expected)


def in_lists(features: TrainingFeatures, probes: int = 10**6) -> TrainingFeatures:
    """Return the features with lists, of which `probes` are searched; by default all."""
    pytest.importorskip("faiss")
    centroid_Ld, list_N = fit_lists(features.vectors_Nd, list_count(len(features)))
    lists = SearchLists(centroid_Ld, list_N, min(probes, len(centroid_Ld)), 1.0, 0, validation=True)
    return replace(features, lists=lists)


@pytest.mark.parametrize(("n", "k"), [(50, 5), (50, 50), (3, 5), (1, 1)])
@pytest.mark.parametrize("photos_per_product", [1, 3])
def test_a_search_in_all_lists_is_exact(n: int, k: int, photos_per_product: int) -> None:
    features, queries_BD = draw_features(n, photos_per_product=photos_per_product), draw_queries(4)
    exact = Searcher.load(features, torch.device("cpu"), sharded=False).nearest(queries_BD, k)
    searcher = Searcher.load(in_lists(features), torch.device("cpu"), sharded=False)
    assert searcher.index is not None
    nearest = searcher.nearest(queries_BD, k)
    assert indices(nearest) == indices(exact)
    torch.testing.assert_close(nearest.cosine_Bk, exact.cosine_Bk)
    assert searcher.nearest(queries_BD[:0], k).cosine_Bk.shape == (0, k)


def test_a_search_in_some_lists_finds_what_they_contain() -> None:
    features, queries_BD = in_lists(draw_features(200), probes=2), draw_queries(4)
    lists = features.lists
    assert lists is not None
    nearest = Searcher.load(features, torch.device("cpu"), sharded=False).nearest(queries_BD, 5)
    for query_D, found in zip(queries_BD.numpy(), indices(nearest), strict=True):
        searched = np.argsort(-lists.centroid_Ld @ query_D)[:2]
        rows = np.flatnonzero(np.isin(lists.list_N, searched))
        assert found == rows[np.argsort(-features.vectors_Nd[rows].astype(np.float32) @ query_D)][:5].tolist()
    assert indices(nearest) != nearest_by_loops(queries_BD, features, 5)


def test_lists_without_faiss_are_ignored_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    features = in_lists(draw_features(200), probes=1)
    monkeypatch.setattr(search, "obstacle", lambda: "needs faiss")
    nearest = Searcher.load(features, torch.device("cpu"), sharded=False).nearest(draw_queries(4), 5)
    assert indices(nearest) == nearest_by_loops(draw_queries(4), features, 5)
    error = capsys.readouterr().err.replace("\n", " ")
    assert error.count("exact in 200 training vectors, which is slow on a CPU; approximate search needs faiss") == 1


def search_lists_on_rank(n: int) -> list[NDArray[Any]]:
    """Return the neighbours of this rank's queries in two lists; rank 0 has no query."""
    searcher = Searcher.load(in_lists(draw_features(n, photos_per_product=2), 2), torch.device("cpu"), sharded=True)
    return [values.numpy() for values in searcher.nearest(draw_queries(6)[: 3 * dist.rank()], 4)]


@pytest.mark.parametrize("n", [131, 1])
def test_shards_of_lists_on_ranks_find_the_same(on_ranks: Callable[..., list[Any]], n: int) -> None:
    features = in_lists(draw_features(n, photos_per_product=2), 2)
    whole = Searcher.load(features, torch.device("cpu"), sharded=False)
    for rank, (cosine_Bk, index_Bk) in enumerate(on_ranks(2, search_lists_on_rank, n)):
        expected = whole.nearest(draw_queries(6)[: 3 * rank], 4)
        np.testing.assert_allclose(cosine_Bk, expected.cosine_Bk.numpy(), rtol=1e-6)
        found = search.Nearest(torch.from_numpy(cosine_Bk), torch.from_numpy(index_Bk))
        assert indices(found) == indices(expected)


@pytest.mark.parametrize("photos_per_product", [1, 3])
def test_photos_of_the_own_group_are_no_neighbours(photos_per_product: int) -> None:
    features = draw_features(60, photos_per_product=photos_per_product)
    searcher = Searcher.load(features, torch.device("cpu"), sharded=False)
    queries_BD, own = draw_queries(12), [*range(0, 60, 6), -1, 999]
    found = searcher.nearest(queries_BD, 5, torch.tensor(own))
    for row, group in enumerate(own):
        (order,) = nearest_by_loops(queries_BD[row : row + 1], features, 60)
        assert indices(found)[row] == [i for i in order if features.group_N[i] != group][:5]
