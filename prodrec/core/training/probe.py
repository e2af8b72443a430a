"""Measure a training on a few photos: the time of its parts, and the activations of a batch."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prodrec.core.base import dist
from prodrec.core.data.batches import Batch, RowBatches
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.fold_batch_norms import folded_batch_norms
from prodrec.core.training.frozen_cache import can_cache, frozen_maps
from prodrec.core.training.loop import Position, train_steps
from prodrec.core.training.train_state import TrainState

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

PROBE_PHOTOS = 32
"""Largest number of photos in a measured batch on a rank: loading more would take longer than measuring. Datasets of
feature vectors, which are read fast, have no limit."""

FEWEST_STEPS, MOST_STEPS, PROBE_SECONDS = 3, 12, 2.0
"""Steps that are measured: the fewest, and more while they take less than PROBE_SECONDS together. The shortest counts:
another program may have slowed down the others. The first one allocates memory and does not count."""


class Probe:
    """Measures the cost of a batch of `photos_per_rank` photos on every rank from smaller ones.

    workers: processes that load photos in the training; the probe loads them itself

    If the settings allow a cache of the frozen stages, a step is one of the stages after them.

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
        self.caches = can_cache(train_state, photos)

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

    def seconds_per_recognised_photo(self) -> float:
        """Return the seconds of all ranks together to recognise a photo, as validation and scoring do."""
        network = self.train_state.network
        return self._seconds_per_forward_pass(lambda batch: network.top_k(batch, 1))

    def seconds_per_cached_photo(self) -> float:
        """Return the seconds to compute the output of the frozen stages for a photo, or 0 if it is not cached."""
        if not self.caches:
            return 0.0
        return self._seconds_per_forward_pass(lambda batch: self.train_state.network.frozen_maps(batch.inputs))

    def _seconds_per_forward_pass(self, forward: Callable[[Batch], object]) -> float:
        """Return the seconds of all ranks together to load a photo and pass it forward."""
        size, network = self.measured_photos, self.train_state.network
        batch = self._on_device(self._photos(size))
        network.eval()
        with folded_batch_norms(network), torch.inference_mode(), self.train_state.autocast():
            computing = self._shortest(lambda: forward(batch))
        network.train()
        return self._overlap(self._seconds_of_loading(size), computing) / (size * dist.world_size())

    def _seconds_per_step(self, size: int) -> float:
        """Return the time of a step of `size` photos on a rank, with that of loading them."""
        loading = 0.0 if self.caches else self._seconds_of_loading(size)
        return self._overlap(loading, self._seconds_of_training(size))

    def _overlap(self, loading: float, computing: float) -> float:
        """Return the time of loading, by one process, and computing.

        On a CPU, both use the same cores, so their times add up, and workers load in parallel. A GPU computes while
        workers load, so the longer time counts.
        """
        if not self.workers:
            return loading + computing
        if self.train_state.device.type == "cuda":
            return max(loading / self.workers, computing)
        return loading / self.workers + computing

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
            return itertools.repeat(batch, MOST_STEPS)

        steps = train_steps(
            replace(self.train_state, config=config),
            epoch_batches,
            batches_per_epoch=MOST_STEPS,
            position=Position(),
        )
        return self._shortest(lambda: next(steps))

    def _shortest(self, work: Callable[[], object]) -> float:
        """Return the shortest time of some work, without the first. All ranks repeat it equally often."""
        times = [self._seconds(work) for _ in range(FEWEST_STEPS)]
        while len(times) < MOST_STEPS and dist.broadcast(sum(times) < PROBE_SECONDS):
            times.append(self._seconds(work))
        return min(times[1:])

    def _seconds(self, work: Callable[[], object]) -> float:
        """Return the time of some work on the device."""
        start = time.perf_counter()
        work()
        if self.train_state.device.type == "cuda":
            torch.cuda.synchronize(self.train_state.device)
        return time.perf_counter() - start

    def _batch(self, size: int) -> Batch:
        """Return the first photos, or their cached output, as a training batch of `size` photos on every rank."""
        batch = self._photos(size)
        if self.caches:
            self.train_state.network.eval()
            maps_BDhw = frozen_maps(batch, self.train_state, self.photos)
            self.train_state.network.train()
            batch = replace(batch, inputs=maps_BDhw, stage=self.train_state.network.frozen_stage)
        return replace(self._on_device(batch), global_size=size * dist.world_size())

    def _photos(self, size: int) -> Batch:
        """Return the first photos of the dataset, as they are loaded."""
        return self.source.batch(self.rows[:size])

    def _on_device(self, batch: Batch) -> Batch:
        state = self.train_state
        return batch.to_device(state.device, self.photos, channels_last=state.precision.channels_last)
