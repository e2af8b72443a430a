"""The K best of very many classes: first the maximum of every block of classes, then a search in the best blocks.

The K best classes are in the K blocks with the largest maxima, so no other block is searched.

Shapes: B rows, R of them at a time, D features, N classes, b blocks, S classes of a block, n of a chunk, K best.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prodrec.models.classifier.chunks import ClassChunks

BLOCK_SIZE = 256
"""Classes of a block."""


def top_k(chunks: ClassChunks, features_BD: Tensor, k: int, *, rows_at_once: int) -> tuple[Tensor, Tensor]:
    """Return the k ≤ N largest scores B×K in decreasing order, and their classes B×K (int64).

    `rows_at_once`×N scores are in memory at a time. The weights are read once for every `rows_at_once` rows.
    """
    best = [_top_k(chunks, features_RD, k) for features_RD in torch.split(features_BD, max(1, rows_at_once))]
    scores, classes = zip(*best, strict=True)
    return torch.cat(scores), torch.cat(classes)


def _top_k(chunks: ClassChunks, features_RD: Tensor, k: int) -> tuple[Tensor, Tensor]:
    classes, rows = chunks.active_count, len(features_RD)
    blocks = -(-classes // BLOCK_SIZE)
    scores_RN = features_RD.new_empty((rows, blocks * BLOCK_SIZE))
    scores_RN[:, classes:] = -torch.inf
    for chunk in chunks:
        scores_Rn = scores_RN[:, chunk.start : chunk.stop]
        chunk.products(features_RD, out=scores_Rn)
        scores_Rn.add_(chunk.bias_n)
    if blocks < 2 * k:  # too few blocks to gain anything
        best = scores_RN[:, :classes].topk(k, dim=1)
        return best.values, best.indices
    scores_RbS = scores_RN.view(rows, blocks, BLOCK_SIZE)
    block_RK = scores_RbS.amax(2).topk(k, dim=1, sorted=False).indices
    candidates_RKS = scores_RbS.gather(1, block_RK.unsqueeze(2).expand(-1, -1, BLOCK_SIZE))
    best = candidates_RKS.flatten(1).topk(k, dim=1)
    return best.values, block_RK.gather(1, best.indices // BLOCK_SIZE) * BLOCK_SIZE + best.indices % BLOCK_SIZE
