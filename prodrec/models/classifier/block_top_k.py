"""The best of very many classes: scores of some rows at a time, maxima of blocks first, then the best blocks alone.

The K best classes stand in the K blocks with the largest maxima, so that all but K blocks are never sorted.

Shapes: B rows, R of them at a time, D features, N classes, S classes of a block, K best.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prodrec.models.classifier.chunks import ClassPieces

BLOCK = 256


def top_k(pieces: ClassPieces, features_BD: Tensor, k: int, *, rows_at_once: int) -> tuple[Tensor, Tensor]:
    """The k largest scores B×K in decreasing order, and their classes B×K (int64), k at most N.

    Holds `rows_at_once`×N scores. Reads the weights once for every `rows_at_once` rows.
    """
    found = [_top_k(pieces, rows_RD, k) for rows_RD in torch.split(features_BD, max(1, rows_at_once))]
    scores, classes = zip(*found, strict=True)
    return torch.cat(scores), torch.cat(classes)


def _top_k(pieces: ClassPieces, features_RD: Tensor, k: int) -> tuple[Tensor, Tensor]:
    classes, rows = pieces.taking_part, len(features_RD)
    blocks = -(-classes // BLOCK)
    scores_RN = features_RD.new_empty((rows, blocks * BLOCK))
    scores_RN[:, classes:] = -torch.inf
    for piece in pieces:
        part_Rn = scores_RN[:, piece.start : piece.stop]
        piece.products(features_RD, out=part_Rn)
        part_Rn.add_(piece.shift_n)
    if blocks < 2 * k:
        best = scores_RN[:, :classes].topk(k, dim=1)
        return best.values, best.indices
    scores_RbS = scores_RN.view(rows, blocks, BLOCK)
    block_RK = scores_RbS.amax(2).topk(k, dim=1, sorted=False).indices
    candidates_RKS = scores_RbS.gather(1, block_RK.unsqueeze(2).expand(-1, -1, BLOCK))
    best = candidates_RKS.flatten(1).topk(k, dim=1)
    return best.values, block_RK.gather(1, best.indices // BLOCK) * BLOCK + best.indices % BLOCK
