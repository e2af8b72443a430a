"""Rows that every rank has processed, brought back to the rank to which they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.core.base import dist

if TYPE_CHECKING:
    from torch import Tensor


def own_rows_of_all_ranks(values: Tensor, row_counts: list[int]) -> tuple[Tensor, ...]:
    """Return the values of this rank's rows that each rank has computed, in the order of the ranks: [B, …] each.

    values:     of the rows of all ranks [A, …], as this rank has computed them: from its shard of classes, for example
    row_counts: rows of every rank, from `dist.row_counts`

    All ranks must call this.
    """
    import torch

    gathered = dist.all_gather_rows(values, [len(values)] * len(row_counts))
    return tuple(torch.split(of_rank, row_counts)[dist.rank()] for of_rank in gathered.chunk(len(row_counts)))
