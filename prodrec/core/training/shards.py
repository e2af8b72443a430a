"""Rows of a tensor: the rows that a rank stores of it, and the chunks of rows that are copied at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prodrec.core.base.dist import Shard

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHUNK_BYTES = 64 * 2**20
"""Largest size of a chunk of rows in bytes, unless a single row is larger. It bounds the memory that is needed to read
rows that another rank wrote, and to copy rows from a GPU."""


def global_shape(tensor: Tensor, shard: Shard | None) -> torch.Size:
    """Return the shape of a tensor with the rows of all ranks. `shard` is None for a tensor that is not sharded."""
    import torch

    return tensor.shape if shard is None else torch.Size([shard.rows, *tensor.shape[1:]])


def row_chunks(tensor: Tensor, chunk_bytes: int = CHUNK_BYTES) -> Iterator[slice]:
    """Yield slices of the rows of `tensor` of at most `chunk_bytes` and at least one row. A scalar is one row."""
    if tensor.ndim == 0:
        yield slice(0, 1)
        return
    row_bytes = tensor[:1].numel() * tensor.element_size()
    rows = max(1, chunk_bytes // max(1, row_bytes))
    for start in range(0, len(tensor), rows):
        yield slice(start, min(start + rows, len(tensor)))
