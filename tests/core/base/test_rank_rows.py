"""The rows of a rank, as every rank has computed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from prodrec.core.base import dist
from prodrec.core.base.rank_rows import own_rows_of_all_ranks


def values_of_own_rows() -> list[list[float]]:
    """Rank r has r + 1 rows, and computes 10·row + r for the rows of all ranks."""
    row_counts = dist.row_counts(torch.zeros(dist.rank() + 1))
    values = 10.0 * torch.arange(sum(row_counts)) + dist.rank()
    return [of_rank.tolist() for of_rank in own_rows_of_all_ranks(values, row_counts)]


def test_every_rank_has_its_rows_from_all(on_ranks: Callable[..., list[Any]]) -> None:
    assert on_ranks(2, values_of_own_rows) == [[[0.0], [1.0]], [[10.0, 20.0], [11.0, 21.0]]]
