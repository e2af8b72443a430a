"""The batches of training: a new order and new views of the photos in every epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.modules.batchnorm import _BatchNorm

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption, ProdrecError
from prodrec.core.data.batches import Batch, RowBatches, load_batches, local_shards, order_of, shuffled_order
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.frozen_cache import FrozenCache
from prodrec.core.training.photo_pairs import draw_pairing, pair_photos
from prodrec.core.training.sampler import group_of_rows, sample_rows
from prodrec.core.training.train_state import TrainState

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


class TrainingBatches:
    """The training batches of a dataset, on the device of `train_state`.

    per_epoch: number of batches of an epoch
    cache:     the output of the frozen stages, which replaces the photos

    Raise ProdrecError if the dataset has no training photo.
    """

    def __init__(
        self,
        dataset: Dataset,
        photos: PhotoConfig,
        train_state: TrainState,
        *,
        workers: int,
        cache: FrozenCache | None = None,
    ) -> None:
        self.dataset, self.photos, self.train_state, self.workers = dataset, photos, train_state, workers
        self.cache = cache
        self.rows: NDArray[np.int64] = dataset.rows("train")
        if not len(self.rows):
            raise ProdrecError(f"{dataset.path} has no training photo.")
        self.group_R = None
        if train_state.config.sampler != "images":
            self.group_R = group_of_rows(dataset.labels_NL[self.rows])
        self.per_epoch = len(self._order(0))

    def __call__(self, epoch: int, skip: int) -> Iterator[Batch]:
        """Yield this rank's shard of every batch of an epoch, without the first `skip` batches."""
        config, device = self.train_state.config, self.train_state.device
        channels_last = self.train_state.precision.channels_last
        source = RowBatches(self.dataset, self.photos, augment=True, seed=config.seed, epoch=epoch)
        stage, workers = None, self.workers
        if self.cache is not None:
            source, stage, workers = self.cache.batches(source), self.cache.stage, 0
        order = self._order(epoch)[skip:]
        shards = load_batches(source, local_shards(order), workers=workers)
        photo = (self.photos.height, self.photos.width)
        for number, (rows, shard) in enumerate(zip(order, shards, strict=True), start=skip):
            batch = replace(shard, global_size=len(rows), stage=stage)
            batch = batch.to_device(device, self.photos, channels_last=channels_last)
            pairing = draw_pairing(config, len(rows), photo, epoch=epoch, number=number)
            yield batch if pairing is None else pair_photos(batch, pairing)

    def _order(self, epoch: int) -> list[NDArray[np.int64]]:
        config = self.train_state.config
        if self.group_R is None:
            return shuffled_order(self.rows, batch_size=config.batch_size, seed=config.seed, epoch=epoch)
        sampled_R = sample_rows(self.rows, self.group_R, config.sampler, seed=config.seed, epoch=epoch)
        return order_of(sampled_R, batch_size=config.batch_size)


def refuse_tiny_batches(dataset: Dataset, config: TrainingConfig) -> None:
    """Raise BadOption if the smallest batch has fewer photos than there are ranks."""
    smallest = _smallest_batch(dataset, config)
    if smallest < dist.world_size():
        raise BadOption(
            f"{dist.world_size()} ranks cannot share a batch of {smallest} photos (batch_size={config.batch_size}, "
            f"{len(dataset.rows('train')):,} training photos); start fewer ranks, or set a larger batch_size."
        )


def refuse_single_photos(dataset: Dataset, photos: PhotoConfig, train_state: TrainState) -> None:
    """Raise BadOption if a batch has one photo, and the network a batch norm that sees a single value of each map."""
    config, network = train_state.config, train_state.network
    if _smallest_batch(dataset, config) > 1:
        return
    network.train()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
    alone: list[bool] = []
    hooks = [
        norm.register_forward_pre_hook(lambda _, inputs: alone.append(inputs[0][0, 0].numel() == 1)) for norm in norms
    ]
    network.eval()
    batch = RowBatches(dataset, photos, augment=False).batch(dataset.rows("train")[:1])
    try:
        with torch.inference_mode(), train_state.autocast():
            network.top_k(batch.to_device(train_state.device, photos), 1)
    finally:
        for hook in hooks:
            hook.remove()
        network.train()
    if any(alone):
        raise BadOption(
            f"a batch has one photo (batch_size={config.batch_size}, {len(dataset.rows('train')):,} training photos), "
            "and a batch norm of the network needs several; set freeze_batch_norm=true, or a larger batch_size."
        )


def _smallest_batch(dataset: Dataset, config: TrainingConfig) -> int:
    """Return the photos of the smallest batch of all ranks together."""
    rows = len(dataset.rows("train"))
    return rows // math.ceil(rows / config.batch_size) if rows else dist.world_size()
