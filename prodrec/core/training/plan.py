"""What a training will take, measured on a few photos before it starts: parameters, memory, time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.core.data.batches import Batch, RowBatches
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.loop import Position, TrainState, steps_in_all, train_steps
from prodrec.core.training.setup import why_not_fused

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

PROBE_PHOTOS = 32
PROBE_STEPS = 3


@dataclass(frozen=True)
class PlannedClassifier:
    """How the loss of a classifier is computed, and why it is not updated within the backward pass, or None."""

    name: str
    way: str
    not_fused: str | None


@dataclass(frozen=True)
class Plan:
    """Sizes in bytes, of every rank; times in seconds.

    Memory leaves out what the libraries themselves take, and the copy of weights and optimiser state that is made while
    a checkpoint is written, which is done without where there is no room.

    photos_per_rank: of every batch; copies: of the weights, those of `ema` and of `keep=best`.
    """

    parameters: dict[str, int]
    trainable: int
    weights_bytes: int
    copies_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    scores_bytes: int
    precision: str
    device: str
    ranks: int
    photos_per_rank: int
    classifiers: list[PlannedClassifier]
    train_photos: int
    validation_photos: int
    steps: int
    seconds_per_step: float
    seconds_per_epoch: float
    seconds: float

    @property
    def bytes_in_all(self) -> int:
        weights = self.weights_bytes + self.copies_bytes
        return weights + self.gradients_bytes + self.optimizer_bytes + self.activations_bytes + self.scores_bytes

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "bytes_in_all": self.bytes_in_all}


def plan(train_state: TrainState, dataset: Dataset, photos: PhotoConfig, *, streams: int = 1) -> Plan:
    """Run a few steps on a few real photos and scale up. Changes the train_state's weights: train a fresh one.

    All ranks run them together. streams: how often the deepest classifier sees a photo, 2 with titles.
    """
    config, rows = train_state.config, dataset.rows("train")
    batches = math.ceil(len(rows) / config.batch_size)
    share = math.ceil(min(config.batch_size, len(rows)) / dist.world_size())
    probe = min(share, PROBE_PHOTOS) if dataset.photos is not None else share
    source = RowBatches(dataset, photos, augment=True, seed=config.seed)

    def batch_of(size: int) -> Batch:
        batch = source.batch(rows[:size]).to_device(train_state.device, photos, channels_last=train_state.channels_last)
        return replace(batch, global_size=size * dist.world_size())

    activations = _activations(train_state, batch_of(probe)) / probe * share
    seconds_per_batch = _seconds(train_state, batch_of, share=share, probe=probe)
    validation = len(dataset.rows("validation"))
    # forward alone is about a third of forward, backward and update
    seconds_per_epoch = seconds_per_batch * (batches + validation / (3 * share * dist.world_size()))
    fused, classifiers, scores_bytes = _classifiers(train_state, share=share, streams=streams)
    named = dict(cast(nn.Module, train_state.network).named_parameters())
    bytes_of = {name: p.numel() * p.element_size() for name, p in named.items()}
    trainable = [name for name, p in named.items() if p.requires_grad]
    whole = {name: _whole(p, train_state.network.shards().get(name)) for name, p in named.items()}
    parameters: dict[str, int] = {}
    for name, count in whole.items():
        part = name.split(".")[0]
        parameters[part] = parameters.get(part, 0) + count
    states = (1 if config.momentum else 0) if config.optimizer == "sgd" else 2
    return Plan(
        parameters=parameters,
        trainable=sum(whole[name] for name in trainable),
        weights_bytes=sum(bytes_of.values()),
        copies_bytes=sum(bytes_of.values()) * ((train_state.average is not None) + (config.keep == "best")),
        gradients_bytes=sum(bytes_of[name] for name in trainable if name not in fused),
        optimizer_bytes=sum(bytes_of[name] for name in trainable) * states,
        activations_bytes=round(activations),
        scores_bytes=scores_bytes,
        precision="bf16" if train_state.dtype is torch.bfloat16 else "fp32",
        device=train_state.device.type,
        ranks=dist.world_size(),
        photos_per_rank=share,
        classifiers=classifiers,
        train_photos=len(rows),
        validation_photos=validation,
        steps=steps_in_all(config, batches),
        seconds_per_step=seconds_per_batch * config.accumulate,
        seconds_per_epoch=seconds_per_epoch,
        seconds=seconds_per_epoch * config.epochs,
    )


def _seconds(train_state: TrainState, batch_of: Callable[[int], Batch], *, share: int, probe: int) -> float:
    """Seconds of a batch of `share` photos a rank, from steps of `probe` photos and, where that is less, of fewer.

    A step costs so much a photo, and so much however few there are, as for the weights of very many classes.
    """
    once = replace(train_state, config=replace(train_state.config, epochs=1.0, warmup_epochs=0.0, accumulate=1))
    fewer = max(1, probe // 4)
    sizes = [probe] if probe == share else [fewer, probe]
    times = {}
    for size in sizes:
        steps = train_steps(
            once,
            lambda _epoch, _skip, size=size: (batch_of(size) for _ in range(PROBE_STEPS)),  # type: ignore[misc]
            batches_per_epoch=PROBE_STEPS,
            position=Position(),
        )
        taken = []
        for _ in range(PROBE_STEPS):
            started = time.perf_counter()
            next(steps)
            taken.append(time.perf_counter() - started)
        times[size] = min(taken[1:])
    if sizes == [share] or fewer == probe:
        return times[probe] * share / probe
    each = max(0.0, (times[probe] - times[fewer]) / (probe - fewer))
    return times[probe] + each * (share - probe)


def _classifiers(train_state: TrainState, *, share: int, streams: int) -> tuple[set[str], list[PlannedClassifier], int]:
    """The parameters that are updated within backward, what to tell of every classifier, bytes of all their scores."""
    fused: set[str] = set()
    found, scores_bytes = [], 0
    classifiers = train_state.network.classifiers()
    for number, (name, classifier) in enumerate(classifiers.items(), start=1):
        seen = share if classifier.shard is None else share * dist.world_size()
        why = why_not_fused(train_state.config)
        if why is None and not classifier.can_update_in_backward:
            why = f"its gradient is added up over {dist.world_size()} ranks"
        if why is None:
            fused |= {f"{name}.weight", f"{name}.bias"}
        rows = seen * (streams if number == len(classifiers) else 1)
        found.append(PlannedClassifier(name, classifier.describe(rows, train_state.dtype), why))
        scores_bytes += classifier.buffer_bytes(rows, train_state.dtype)
    return fused, found, scores_bytes


def _whole(parameter: nn.Parameter, shard: dist.Shard | None) -> int:
    """Numbers in a parameter, all its rows wherever they are."""
    return parameter.numel() if shard is None else shard.rows * math.prod(parameter.shape[1:])


def _activations(train_state: TrainState, batch: Batch) -> int:
    """Bytes that autograd keeps for the backward of one batch, without the weights."""
    weights = {p.untyped_storage().data_ptr() for p in cast(nn.Module, train_state.network).parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), train_state.autocast():
        train_state.network.loss(batch)
    return sum(kept.values())
