"""The K best of very many classes: first the maximum of every block of classes, then a search in the best blocks.

The K best classes are in the K blocks with the largest maxima, so no other block is searched.

Shapes: B rows, R of them at a time, D features, N classes, P groups of classes, b blocks, S classes of a block, n of a
chunk, K best, J other classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.core.base.rank_rows import own_rows_of_all_ranks
from prodrec.core.base.top_k_options import BEST_ALONE, TopKOptions
from prodrec.models.classifier.chunks import ClassChunks

BLOCK_SIZE = 256
"""Classes of a block."""


class TopK(NamedTuple):
    """The K largest scores of every row, and what turns scores into probabilities.

    scores_BK, classes_BK: the scores in decreasing order, and their classes (int64)
    logsumexp_B:           log Σ_c exp(score_c) over all classes; None unless it was requested
    also_BJ:               scores of the classes that were requested in addition; None if there were none
    among:                 the same three of some classes alone; None unless it was requested. If they are fewer than K,
                           the rest of the scores is −∞
    """

    scores_BK: Tensor
    classes_BK: Tensor
    logsumexp_B: Tensor | None = None
    also_BJ: Tensor | None = None
    among: TopK | None = None


def top_k(
    chunks: ClassChunks,
    features_BD: Tensor,
    k: int,
    *,
    rows_at_once: int,
    options: TopKOptions = BEST_ALONE,
) -> TopK:
    """Return the k ≤ N largest scores of every row, and what `options` requests.

    `rows_at_once`×N scores are in memory at a time. The weights are read once for every `rows_at_once` rows.
    """
    rows_at_once = max(1, rows_at_once)
    best, among = [], []
    for start in range(0, max(1, len(features_BD)), rows_at_once):
        rows = slice(start, start + rows_at_once)
        of_rows = options.of_rows(rows)
        scores_RN = _scores(chunks, features_BD[rows], of_rows.added)
        scores_RK, classes_RK = _best_of_blocks(scores_RN, chunks.active_count, k)
        also_RJ = None
        if of_rows.also_BJ is not None:
            missing_RJ = of_rows.also_BJ < 0
            also_RJ = scores_RN.gather(1, of_rows.also_BJ.clamp(min=0)).masked_fill_(missing_RJ, -torch.inf)
        best.append((scores_RK, classes_RK, scores_RN.logsumexp(1) if options.logsumexp else None, also_RJ))
        if (among_N := options.among_C) is not None:
            scores_RN[:, : len(among_N)].masked_fill_(~among_N, -torch.inf)
            among.append((*_best_of_blocks(scores_RN, chunks.active_count, k), scores_RN.logsumexp(1)))
    return _join(best)._replace(among=_join(among) if among else None)


def _join(parts: Sequence[tuple[Tensor | None, ...]]) -> TopK:
    """Return the rows of all parts one below the other."""
    columns = ([column for column in columns if column is not None] for columns in zip(*parts, strict=True))
    return TopK(*(torch.cat(column) if column else None for column in columns))  # type: ignore[arg-type]


def _scores(chunks: ClassChunks, features_RD: Tensor, added: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return the scores of all classes, padded with −∞ to whole blocks."""
    classes, rows = chunks.active_count, len(features_RD)
    blocks = max(1, -(-classes // BLOCK_SIZE))  # a rank may have no class
    scores_RN = features_RD.new_empty((rows, blocks * BLOCK_SIZE))
    scores_RN[:, classes:] = -torch.inf
    for chunk in chunks:
        scores_Rn = scores_RN[:, chunk.start : chunk.stop]
        chunk.products(features_RD, out=scores_Rn)
        scores_Rn.add_(chunk.bias_n)
        if added is not None:
            added_RP, group_N = added
            scores_Rn.add_(added_RP[:, group_N[chunk.index]])
    return scores_RN


def _best_of_blocks(scores_RN: Tensor, classes: int, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of the first `classes` scores of every row, and their classes, R×K each."""
    rows, blocks = len(scores_RN), scores_RN.shape[1] // BLOCK_SIZE
    if blocks < 2 * k:  # too few blocks to gain anything
        best = scores_RN[:, :classes].topk(k, dim=1)
        return best.values, best.indices
    scores_RbS = scores_RN.view(rows, blocks, BLOCK_SIZE)
    block_RK = scores_RbS.amax(2).topk(k, dim=1, sorted=False).indices
    candidates_RKS = scores_RbS.gather(1, block_RK.unsqueeze(2).expand(-1, -1, BLOCK_SIZE))
    best = candidates_RKS.flatten(1).topk(k, dim=1)
    return best.values, block_RK.gather(1, best.indices // BLOCK_SIZE) * BLOCK_SIZE + best.indices % BLOCK_SIZE


def best_over_ranks(best: TopK, first_class: int, k: int, row_counts: list[int]) -> TopK:
    """Return the k best scores of this rank's rows over the classes of all ranks, from those over this rank's classes.

    A rank may have fewer than k classes; missing ones are −∞.
    """
    missing = (0, k - best.scores_BK.shape[1])
    scores_BK = torch.cat(own_rows_of_all_ranks(F.pad(best.scores_BK, missing, value=-torch.inf), row_counts), dim=1)
    classes_BK = torch.cat(own_rows_of_all_ranks(F.pad(best.classes_BK + first_class, missing), row_counts), dim=1)
    top = scores_BK.topk(k, dim=1)
    logsumexp_B = also_BJ = None
    if best.logsumexp_B is not None:
        logsumexp_B = torch.stack(own_rows_of_all_ranks(best.logsumexp_B, row_counts)).logsumexp(0)
    if best.also_BJ is not None:
        also_BJ = torch.stack(own_rows_of_all_ranks(best.also_BJ, row_counts)).amax(0)
    among = None if best.among is None else best_over_ranks(best.among, first_class, k, row_counts)
    return TopK(top.values, classes_BK.gather(1, top.indices), logsumexp_B, also_BJ, among)
