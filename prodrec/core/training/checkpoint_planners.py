"""Planners for torch.distributed.checkpoint: the rows of every tensor that a rank writes and reads.

A sharded tensor is saved as one tensor, so any number of ranks can read its own rows of it. All other tensors are equal
on all ranks, and rank 0 writes them.

DTensor is not used: its shards are those of torch.chunk (3, 3 and 1 of 7 rows on 3 ranks), and it saves shards of other
sizes in wrong places without an error (measured with torch 2.15).
"""

from __future__ import annotations

from collections.abc import Mapping
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
from prodrec.core.training.shards import global_shape, row_chunks


class ShardSavePlanner(DefaultSavePlanner):
    """Saves a dict of plain tensors in chunks of rows. `shards` has the sharded ones by name."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.shards = shards

    def create_local_plan(self) -> SavePlan:
        """Return the chunks that this rank writes."""
        items = []
        for name, tensor in self.state_dict.items():
            if name in self.shards or self.is_coordinator:
                items += [self._write_item(name, tensor, rows) for rows in row_chunks(tensor)]
        self.plan = SavePlan(items)
        return self.plan

    def _write_item(self, name: str, tensor: Tensor, rows: slice) -> WriteItem:
        shard = self.shards.get(name)
        offsets, sizes = [0] * tensor.ndim, list(tensor.shape)
        if tensor.ndim:
            offsets[0], sizes[0] = rows.start + (shard.first if shard else 0), rows.stop - rows.start
        data = TensorWriteData(
            chunk=ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)),
            properties=TensorProperties.create_from_tensor(tensor),
            size=global_shape(tensor, shard),
        )
        return WriteItem(MetadataIndex(name, offsets), WriteItemType.SHARD, tensor_data=data)

    def resolve_data(self, write_item: WriteItem) -> Tensor:
        """Return the rows of a chunk."""
        name, data = write_item.index.fqn, write_item.tensor_data
        tensor, shard = cast(Tensor, self.state_dict[name]), self.shards.get(name)
        assert data is not None and data.chunk is not None
        if tensor.ndim == 0:
            return tensor
        first = data.chunk.offsets[0] - (shard.first if shard else 0)
        return tensor[first : first + data.chunk.sizes[0]]


class ShardLoadPlanner(DefaultLoadPlanner):
    """Loads into a dict of plain tensors, in place. `shards` has the sharded ones by name, for this number of ranks."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.shards = shards

    def create_local_plan(self) -> LoadPlan:
        """Return the rows that this rank reads. Raise ValueError if a tensor is missing or differs in shape or type."""
        assert self.metadata is not None
        items: list[ReadItem] = []
        for name, tensor in self.state_dict.items():
            saved, shard = self.metadata.state_dict_metadata.get(name), self.shards.get(name)
            expected = (global_shape(tensor, shard), tensor.dtype)
            if not isinstance(saved, TensorStorageMetadata) or (saved.size, saved.properties.dtype) != expected:
                actual = f"{tuple(saved.size)}" if isinstance(saved, TensorStorageMetadata) else "nothing"
                raise ValueError(f"it contains {actual} as {name}, not {tuple(expected[0])} {expected[1]}")
            offsets = [0] * tensor.ndim
            if shard is not None:
                offsets[0] = shard.first
            if tensor.numel():
                wanted = ChunkStorageMetadata(torch.Size(offsets), tensor.shape)
                items += create_read_items_for_chunk_list(name, saved, [wanted])
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        """Return the tensor to read into."""
        return cast(Tensor, self.state_dict[index.fqn])
