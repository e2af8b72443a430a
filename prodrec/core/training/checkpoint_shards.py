"""How tensors are cut for torch.distributed.checkpoint: the rows of every rank, in pieces of bounded size.

A tensor that the ranks share by rows is saved as one tensor, whoever held which rows, so that any number of ranks reads
its own rows of it; all others are alike on all ranks and written by rank 0. Pieces keep memory small where a rank reads
rows that another wrote, or copies them from a GPU. (DTensor would do for shares as torch.chunk cuts them. It takes
7 rows on 3 ranks for 3, 3 and 1, and saves others in wrong places without an error: measured with torch 2.15.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, ReadItem, SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from prodrec.core.base.dist import Shard

PIECE = 64 * 2**20
"""Bytes of a piece, at most, where a row has fewer."""


def whole_shape(tensor: Tensor, shard: Shard | None) -> torch.Size:
    """The shape of a tensor over all ranks; `shard` says what this one holds of it."""
    return tensor.shape if shard is None else torch.Size([shard.rows, *tensor.shape[1:]])


def pieces(tensor: Tensor, size: int = PIECE) -> Iterator[slice]:
    """The rows of `tensor` in pieces of at most `size` bytes, one row at least; a scalar is one piece."""
    if tensor.ndim == 0:
        yield slice(0, 1)
        return
    bytes_of_row = tensor[:1].numel() * tensor.element_size()
    step = max(1, size // max(1, bytes_of_row))
    for start in range(0, len(tensor), step):
        yield slice(start, min(start + step, len(tensor)))


class SavePieces(DefaultSavePlanner):
    """Saves a dict of plain tensors; `shards` names those of which this rank holds some rows."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.shards = shards

    def create_local_plan(self) -> SavePlan:
        items = []
        for name, tensor in self.state_dict.items():
            if name in self.shards or self.is_coordinator:
                items += [self._item(name, tensor, rows) for rows in pieces(tensor)]
        self.plan = SavePlan(items)
        return self.plan

    def _item(self, name: str, tensor: Tensor, rows: slice) -> WriteItem:
        shard = self.shards.get(name)
        offsets, sizes = [0] * tensor.ndim, list(tensor.shape)
        if tensor.ndim:
            offsets[0], sizes[0] = rows.start + (shard.first if shard else 0), rows.stop - rows.start
        data = TensorWriteData(
            chunk=ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)),
            properties=TensorProperties.create_from_tensor(tensor),
            size=whole_shape(tensor, shard),
        )
        return WriteItem(MetadataIndex(name, offsets), WriteItemType.SHARD, tensor_data=data)

    def resolve_data(self, write_item: WriteItem) -> Tensor:
        """The rows of a piece."""
        tensor, data = cast(Tensor, self.state_dict[write_item.index.fqn]), write_item.tensor_data
        assert data is not None and data.chunk is not None
        if tensor.ndim == 0:
            return tensor
        shard = self.shards.get(write_item.index.fqn)
        first = data.chunk.offsets[0] - (shard.first if shard else 0)
        return tensor[first : first + data.chunk.sizes[0]]


class LoadPieces(DefaultLoadPlanner):
    """Reads into a dict of plain tensors, in place; `shards` as for SavePieces, on this number of ranks."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.shards = shards

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        items: list[ReadItem] = []
        for name, tensor in self.state_dict.items():
            found, shard = self.metadata.state_dict_metadata.get(name), self.shards.get(name)
            wanted = (whole_shape(tensor, shard), tensor.dtype)
            if not isinstance(found, TensorStorageMetadata) or (found.size, found.properties.dtype) != wanted:
                has = "nothing" if not isinstance(found, TensorStorageMetadata) else f"{tuple(found.size)}"
                raise ValueError(f"it holds {has} as {name}, not {tuple(wanted[0])} {wanted[1]}")
            offsets = [0] * tensor.ndim
            if shard is not None:
                offsets[0] = shard.first
            if tensor.numel():
                mine = ChunkStorageMetadata(torch.Size(offsets), tensor.shape)
                items += create_read_items_for_chunk_list(name, found, [mine])
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        return cast(Tensor, self.state_dict[index.fqn])
