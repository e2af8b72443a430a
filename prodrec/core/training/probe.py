"""Measure a training on a few photos: time and activations of a batch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prodrec.core.base import dist
from prodrec.core.data.batches import Batch, RowBatches
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.loop import Position, train_steps
from prodrec.core.training.train_state import TrainState

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

PROBE_PHOTOS = 32
"""Largest number of photos in a measured batch on a rank: loading more would take longer than measuring. Datasets of
feature vectors, which are read fast, have no limit."""

PROBE_STEPS = 3
"""Number of measured steps; the first one allocates memory and is ignored."""


class Probe:
    """Measures the cost of a batch of `photos_per_rank` photos on every rank from smaller ones.

    workers: processes that load photos in the training; the probe loads them itself

    All ranks must call its methods together.
    """

    def __init__(
        self,
        train_state: TrainState,
        dataset: Dataset,
        photos: PhotoConfig,
        *,
        photos_per_rank: int,
        workers: int = 0,
        at_most: int = PROBE_PHOTOS,
    ) -> None:
        self.train_state, self.photos, self.photos_per_rank = train_state, photos, photos_per_rank
        self.workers = workers
        self.rows = dataset.rows("train")
        self.source = RowBatches(dataset, photos, augment=True, seed=train_state.config.seed)
        self.measured_photos = photos_per_rank if dataset.photos is None else min(photos_per_rank, at_most)

    def activation_bytes(self) -> int:
        """Return the bytes that autograd stores for the backward pass of a batch on one rank, without the weights."""
        weights = {parameter.untyped_storage().data_ptr() for parameter in self.train_state.network.parameters()}
        storage_bytes: dict[int, int] = {}

        def record(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                storage_bytes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor), self.train_state.autocast():
            self.train_state.network.loss(self._batch(self.measured_photos))
        return round(sum(storage_bytes.values()) / self.measured_photos * self.photos_per_rank)

    def seconds_per_batch(self) -> float:
        """Return the seconds of a batch, measured, or extrapolated from two smaller batches. This changes the weights.

        A step takes some time per photo, and some time that does not depend on the number of photos, such as that for
        the weights of very many classes.
        """
        if self.measured_photos == self.photos_per_rank:
            return self._seconds_per_step(self.measured_photos)
        fewer_photos = self.measured_photos // 4
        smaller, larger = self._seconds_per_step(fewer_photos), self._seconds_per_step(self.measured_photos)
        seconds_per_photo = max(0.0, (larger - smaller) / (self.measured_photos - fewer_photos))
        return larger + seconds_per_photo * (self.photos_per_rank - self.measured_photos)

    def _seconds_per_step(self, size: int) -> float:
        """Return the time of a step of `size` photos on a rank, with that of loading them.

        On a CPU, loading and training use the same cores, so their times add up, and workers load in parallel. A GPU
        trains while workers load, so the longer time counts.
        """
        loading, training = self._seconds_of_loading(size), self._seconds_of_training(size)
        if not self.workers:
            return loading + training
        if self.train_state.device.type == "cuda":
            return max(loading / self.workers, training)
        return loading / self.workers + training

    def _seconds_of_loading(self, size: int) -> float:
        """Return the time of loading `size` photos by one process. They were loaded before: no disk is read."""
        self.source.batch(self.rows[:size])
        start = time.perf_counter()
        self.source.batch(self.rows[:size])
        return time.perf_counter() - start

    def _seconds_of_training(self, size: int) -> float:
        """Return the shortest time of a step with `size` photos that are loaded."""
        batch = self._batch(size)
        config = replace(self.train_state.config, epochs=1.0, warmup_epochs=0.0, head_epochs=0.0, accumulate=1)

        def epoch_batches(_epoch: int, _skip: int) -> Iterator[Batch]:
            return itertools.repeat(batch, PROBE_STEPS)

        steps = train_steps(
            replace(self.train_state, config=config),
            epoch_batches,
            batches_per_epoch=PROBE_STEPS,
            position=Position(),
        )
        seconds = []
        for _ in range(PROBE_STEPS):
            start = time.perf_counter()
            next(steps)
            if batch.inputs.is_cuda:
                torch.cuda.synchronize(batch.inputs.device)
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])

    def _batch(self, size: int) -> Batch:
        """Return the first photos as a batch of `size` photos on every rank."""
        batch = self.source.batch(self.rows[:size])
        batch = batch.to_device(
            self.train_state.device, self.photos, channels_last=self.train_state.precision.channels_last
        )
        return replace(batch, global_size=size * dist.world_size())
