"""Exact search for the nearest of many vectors, chunk by chunk.

Shapes: B queries, N vectors, n of a chunk, d numbers of a vector, K nearest ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def nearest_vectors(queries_Bd: Tensor, vectors_Nd: Tensor, k: int, *, chunk: int) -> tuple[Tensor, Tensor]:
    """Return the cosines of the k nearest vectors of every query, nearest first, and their indices: [B, K] each.

    K is k, or N if there are fewer vectors. All vectors have length 1; those of float16 become float32 chunk by chunk.

    chunk: vectors whose cosines are in memory at a time
    """
    import torch

    cosine_BK = queries_Bd.new_empty((len(queries_Bd), 0))
    index_BK = torch.empty((len(queries_Bd), 0), dtype=torch.int64, device=queries_Bd.device)
    for start in range(0, len(vectors_Nd), chunk):
        cosine_Bn = queries_Bd @ vectors_Nd[start : start + chunk].float().t()
        best = cosine_Bn.topk(min(k, cosine_Bn.shape[1]), dim=1)
        cosine_BK = torch.cat([cosine_BK, best.values], dim=1)
        index_BK = torch.cat([index_BK, best.indices + start], dim=1)
        if start > 0:
            best = cosine_BK.topk(min(k, cosine_BK.shape[1]), dim=1)
            cosine_BK, index_BK = best.values, index_BK.gather(1, best.indices)
    return cosine_BK, index_BK
