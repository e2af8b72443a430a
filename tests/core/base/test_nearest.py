"""Exact search in chunks, against all cosines at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from prodrec.core.base.nearest import nearest_vectors


@pytest.mark.parametrize(("vectors", "k", "chunk"), [(50, 5, 7), (50, 9, 4), (50, 60, 16), (3, 5, 16), (0, 5, 16)])
def test_chunks_of_any_size_find_the_nearest(vectors: int, k: int, chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors_Nd = F.normalize(torch.randn(vectors, 8, generator=generator)).half()
    queries_Bd = F.normalize(torch.randn(6, 8, generator=generator))
    cosine_BK, index_BK = nearest_vectors(queries_Bd, vectors_Nd, k, chunk=chunk)
    expected = (queries_Bd @ vectors_Nd.float().t()).sort(dim=1, descending=True)
    assert torch.equal(index_BK, expected.indices[:, :k])
    torch.testing.assert_close(cosine_BK, expected.values[:, :k])
