"""The cost of a training before it starts: parameters and memory, counted, and time, measured on a few photos."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from prodrec.core.base import dist
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.photo_cost import PhotoCost
from prodrec.core.training.probe import Probe
from prodrec.core.training.protocols import Network
from prodrec.core.training.schedule import count_steps
from prodrec.core.training.state_memory import StateMemory, state_memory
from prodrec.core.training.train_state import TrainState, reason_against_fused_update

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset


STATE_KEYS = ("weights", "copies", "gradients", "optimizer")
"""Parts of the memory that is kept from step to step."""


@dataclass(frozen=True)
class ClassifierPlan:
    """How the loss of a classifier is computed.

    name:         module name in the network
    description:  number of classes, sharding and memory
    not_fused:    why the classifier is updated after backward, or None if it is updated within backward
    scores_bytes: memory for the scores of a batch
    """

    name: str
    description: str
    not_fused: str | None
    scores_bytes: int


@dataclass(frozen=True)
class Plan:
    """The cost of a training. Sizes are in bytes on one rank, times in seconds.

    parameters:      number of parameters by part of the network, with the rows of all ranks
    trainable:       number of those that are trained
    state:           memory that is kept from step to step
    available_bytes: memory of the device that was free before the network was built; None if it is not known
    photos_per_rank: photos of a batch on one rank

    The memory excludes the libraries themselves, and the copy of weights and optimizer state that is made while a
    checkpoint is written (without memory for it, training waits instead).
    """

    parameters: dict[str, int]
    trainable: int
    state: StateMemory
    activations_bytes: int
    scores_bytes: int
    available_bytes: int | None
    precision: str
    device: str
    ranks: int
    photos_per_rank: int
    classifiers: list[ClassifierPlan]
    train_photos: int
    validation_photos: int
    steps: int
    seconds_per_step: float
    seconds_per_epoch: float
    seconds: float

    @property
    def total_bytes(self) -> int:
        """Memory of a rank."""
        return self.state.total + self.activations_bytes + self.scores_bytes

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec train --plan --json` prints them."""
        classifiers = [{"name": c.name, "way": c.description, "not_fused": c.not_fused} for c in self.classifiers]
        values = {**asdict(self), "classifiers": classifiers, "bytes_in_all": self.total_bytes}
        return {**values, **{f"{key}_bytes": values["state"][key] for key in STATE_KEYS}}


def plan(
    train_state: TrainState,
    dataset: Dataset,
    photos: PhotoConfig,
    *,
    streams: int = 1,
    workers: int = 0,
    available_bytes: int | None = None,
) -> Plan:
    """Return the plan of a training. All ranks must call this together.

    train_state:     is changed by the measured steps, so do not train it afterwards
    streams:         number of rows per photo that the deepest classifier sees: 2 with titles or photos in pairs
    workers:         processes that load photos
    available_bytes: see `Plan`
    """
    config, network, ranks = train_state.config, train_state.network, dist.world_size()
    train_photos, validation_photos = (len(dataset.rows(split)) for split in ("train", "validation"))
    batches = math.ceil(train_photos / config.batch_size)
    photos_per_rank = math.ceil(min(config.batch_size, train_photos) / ranks)

    probe = Probe(train_state, dataset, photos, photos_per_rank=photos_per_rank, workers=workers)
    activations_bytes = probe.activation_bytes()
    seconds_per_batch = probe.seconds_per_batch()
    cost = PhotoCost(
        seconds_per_batch / (photos_per_rank * ranks),
        recognised_seconds=probe.seconds_per_recognised_photo(),
        cached_seconds=probe.seconds_per_cached_photo(),
    )

    classifiers = plan_classifiers(train_state, photos_per_rank=photos_per_rank, streams=streams)
    trainable = {name for name, p in network.named_parameters() if p.requires_grad}
    counts = _count_parameters(network)
    by_part: Counter[str] = Counter()
    for name, count in counts.items():
        by_part[name.split(".")[0]] += count
    return Plan(
        parameters=dict(by_part),
        trainable=sum(counts[name] for name in trainable),
        state=state_memory(network, config),
        activations_bytes=activations_bytes,
        scores_bytes=sum(classifier.scores_bytes for classifier in classifiers),
        available_bytes=available_bytes,
        precision="bf16" if train_state.precision.dtype is torch.bfloat16 else "fp32",
        device=train_state.device.type,
        ranks=ranks,
        photos_per_rank=photos_per_rank,
        classifiers=classifiers,
        train_photos=train_photos,
        validation_photos=validation_photos,
        steps=count_steps(config, batches),
        seconds_per_step=seconds_per_batch * config.accumulate,
        seconds_per_epoch=cost.seconds * train_photos + cost.recognised_seconds * validation_photos,
        seconds=cost.training_seconds(
            config.epochs,
            train_photos=train_photos,
            validation_photos=validation_photos,
            views=photos.views,
            neighbours=config.operating_points == "neighbours",
        ),
    )


def plan_classifiers(train_state: TrainState, *, photos_per_rank: int, streams: int) -> list[ClassifierPlan]:
    """Return the plan of every classifier. The last one is that of the deepest level, which sees `streams` vectors."""
    plans: list[ClassifierPlan] = []
    dtype, classifiers = train_state.precision.dtype, train_state.network.classifiers()
    for number, (name, classifier) in enumerate(classifiers.items(), start=1):
        not_fused = reason_against_fused_update(train_state.config)
        if not_fused is None and not classifier.can_update_in_backward:
            not_fused = f"its gradient is summed over {dist.world_size()} ranks"
        rows = photos_per_rank if classifier.shard is None else photos_per_rank * dist.world_size()
        if number == len(classifiers):
            rows *= streams
        description, scores_bytes = classifier.describe(rows, dtype), classifier.buffer_bytes(rows, dtype)
        plans.append(ClassifierPlan(name, description, not_fused, scores_bytes))
    return plans


def _count_parameters(network: Network) -> dict[str, int]:
    """Return the number of elements of every parameter, with the rows of all ranks."""
    shards = network.shards()
    return {
        name: shards[name].rows * math.prod(p.shape[1:]) if name in shards else p.numel()
        for name, p in network.named_parameters()
    }
