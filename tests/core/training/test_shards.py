"""Chunks and shapes of sharded tensors. The tests of checkpoints put the chunks of several ranks together."""

from __future__ import annotations

import torch

from prodrec.core.base.dist import Shard
from prodrec.core.training.shards import global_shape, row_chunks


def test_large_tensors_have_chunks_of_several_rows() -> None:
    rows = torch.zeros(10, 4)
    assert list(row_chunks(rows, 50)) == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    assert list(row_chunks(rows, 1)) == [slice(i, i + 1) for i in range(10)]
    assert list(row_chunks(rows[:0], 50)) == [] and list(row_chunks(torch.tensor(1.0))) == [slice(0, 1)]


def test_the_global_shape_counts_the_rows_of_all_ranks() -> None:
    assert global_shape(torch.zeros(0, 4), Shard(3, 10)) == (10, 4) and global_shape(torch.zeros(2, 4), None) == (2, 4)
