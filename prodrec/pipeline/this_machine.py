"""What a training costs on this machine, for the presets: memory from shapes, and time from a few measured steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from prodrec.core.base import dist
from prodrec.core.training.photo_cost import PhotoCost
from prodrec.pipeline.word_vectors import stand_in_vectors

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.state_memory import StateMemory
    from prodrec.models.families import Recipe

MEASURED_PHOTOS, MEASURED_PHOTOS_ON_GPU = 32, 128
"""Photos of a measured step on a rank. A GPU is not busy with fewer, and a CPU needs more time for more."""
FEWEST_MEASURED = 8
TIMED_WORDS = 8
"""Width of the word vectors of a measured network: they take little of the time."""


class ThisMachine:
    """Determines the cost of recipes on a dataset and the device of this rank, each of them once.

    workers: processes that load photos

    All ranks must call the same methods in the same order, and get the same results.
    """

    def __init__(self, data: Dataset, device: str, *, workers: int) -> None:
        self.data, self.device, self.workers = data, device, workers
        self._states: dict[tuple[object, ...], StateMemory] = {}
        self._costs: dict[tuple[object, ...], PhotoCost] = {}

    def state_memory(self, recipe: Recipe) -> StateMemory:
        """Return the memory of weights and optimizer, from shapes alone: no memory is needed for it."""
        key = (*_network_key(recipe), recipe.training.optimizer)
        if key not in self._states:
            self._states[key] = self._compute_state(recipe)
        return self._states[key]

    def photo_cost(self, recipe: Recipe) -> PhotoCost:
        """Return the cost of a photo, measured in a few steps from random weights."""
        key = _network_key(recipe)
        if key not in self._costs:
            self._costs[key] = dist.broadcast(self._measure(recipe))
        return self._costs[key]

    def _compute_state(self, recipe: Recipe) -> StateMemory:
        from prodrec.core.data.titles.word2vec import DEFAULT_DIMENSION
        from prodrec.pipeline.build_train_state import untrained_memory

        untrained = self._random(recipe)
        return untrained_memory(untrained, self.data, stand_in_vectors(untrained, self.data, DEFAULT_DIMENSION))

    def _measure(self, recipe: Recipe) -> PhotoCost:
        import torch

        from prodrec.core.base.device import choose_device

        is_gpu = choose_device(self.device).type == "cuda"
        own_photos = max(1, len(self.data.rows("train")) // dist.world_size())
        most = MEASURED_PHOTOS_ON_GPU if is_gpu else MEASURED_PHOTOS
        photos = min(most, recipe.training.batch_size, own_photos)
        while True:
            try:
                return self._measure_photos(recipe, photos)
            except torch.OutOfMemoryError:
                if dist.world_size() > 1:  # the other ranks wait for this one
                    raise
                if photos <= FEWEST_MEASURED:
                    return PhotoCost(math.inf, math.inf)
            photos //= 2

    def _measure_photos(self, recipe: Recipe, photos: int) -> PhotoCost:
        from prodrec.core.training.plan import plan_classifiers
        from prodrec.core.training.probe import Probe
        from prodrec.pipeline.build_train_state import build_train_state, count_streams

        timed = self._random(recipe)
        state = build_train_state(timed, self.data, stand_in_vectors(timed, self.data, TIMED_WORDS), self.device)
        probe = Probe(state, self.data, timed.photos, photos_per_rank=photos, workers=self.workers, at_most=photos)
        classifiers = plan_classifiers(state, photos_per_rank=photos, streams=count_streams(timed))
        memory_bytes = probe.activation_bytes() + sum(classifier.scores_bytes for classifier in classifiers)
        return PhotoCost(
            probe.seconds_per_batch() / (photos * dist.world_size()),
            memory_bytes / photos,
            probe.seconds_per_recognised_photo(),
            probe.seconds_per_cached_photo(),
        )

    def _random(self, recipe: Recipe) -> Recipe:
        """Return the recipe with random weights, for the inputs of the dataset."""
        from prodrec.models.adapt import adapt_recipe

        network = replace(recipe.network, weights=None)
        return adapt_recipe(replace(recipe, network=network), self.data.inputs)


def _network_key(recipe: Recipe) -> tuple[object, ...]:
    """Return the settings that presets change and the cost depends on."""
    network, photos = recipe.network, recipe.photos
    return (network.backbone, network.embed, network.freeze_until, photos.image_size, photos.views)
