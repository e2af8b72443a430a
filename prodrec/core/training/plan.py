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
from prodrec.core.training.loop import Position, Trainee, steps_in_all, train_steps
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


def plan(trainee: Trainee, dataset: Dataset, photos: PhotoConfig, *, streams: int = 1) -> Plan:
    """Run a few steps on a few real photos and scale up. Changes the trainee's weights: train a fresh one.

    All ranks run them together. streams: how often the deepest classifier sees a photo, 2 with titles.
    """
    config, rows = trainee.config, dataset.rows("train")
    batches = math.ceil(len(rows) / config.batch_size)
    share = math.ceil(min(config.batch_size, len(rows)) / dist.ranks())
    probe = min(share, PROBE_PHOTOS) if dataset.photos is not None else share
    source = RowBatches(dataset, photos, augment=True, seed=config.seed)

    def batch_of(size: int) -> Batch:
        batch = source.batch(rows[:size]).to_device(trainee.device, photos, channels_last=trainee.channels_last)
        return replace(batch, whole=size * dist.ranks())

    activations = _activations(trainee, batch_of(probe)) / probe * share
    seconds_per_batch = _seconds(trainee, batch_of, share=share, probe=probe)
    validation = len(dataset.rows("validation"))
    # forward alone is about a third of forward, backward and update
    seconds_per_epoch = seconds_per_batch * (batches + validation / (3 * share * dist.ranks()))
    fused, classifiers, scores_bytes = _classifiers(trainee, share=share, streams=streams)
    named = dict(cast(nn.Module, trainee.network).named_parameters())
    bytes_of = {name: p.numel() * p.element_size() for name, p in named.items()}
    trainable = [name for name, p in named.items() if p.requires_grad]
    whole = {name: _whole(p, trainee.network.shards().get(name)) for name, p in named.items()}
    parameters: dict[str, int] = {}
    for name, count in whole.items():
        part = name.split(".")[0]
        parameters[part] = parameters.get(part, 0) + count
    states = (1 if config.momentum else 0) if config.optimizer == "sgd" else 2
    return Plan(
        parameters=parameters,
        trainable=sum(whole[name] for name in trainable),
        weights_bytes=sum(bytes_of.values()),
        copies_bytes=sum(bytes_of.values()) * ((trainee.average is not None) + (config.keep == "best")),
        gradients_bytes=sum(bytes_of[name] for name in trainable if name not in fused),
        optimizer_bytes=sum(bytes_of[name] for name in trainable) * states,
        activations_bytes=round(activations),
        scores_bytes=scores_bytes,
        precision="bf16" if trainee.dtype is torch.bfloat16 else "fp32",
        device=trainee.device.type,
        ranks=dist.ranks(),
        photos_per_rank=share,
        classifiers=classifiers,
        train_photos=len(rows),
        validation_photos=validation,
        steps=steps_in_all(config, batches),
        seconds_per_step=seconds_per_batch * config.accumulate,
        seconds_per_epoch=seconds_per_epoch,
        seconds=seconds_per_epoch * config.epochs,
    )


def _seconds(trainee: Trainee, batch_of: Callable[[int], Batch], *, share: int, probe: int) -> float:
    """Seconds of a batch of `share` photos a rank, from steps of `probe` photos and, where that is less, of fewer.

    A step costs so much a photo, and so much however few there are, as for the weights of very many classes.
    """
    once = replace(trainee, config=replace(trainee.config, epochs=1.0, warmup_epochs=0.0, accumulate=1))
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


def _classifiers(trainee: Trainee, *, share: int, streams: int) -> tuple[set[str], list[PlannedClassifier], int]:
    """The parameters that are updated within backward, what to tell of every classifier, bytes of all their scores."""
    fused: set[str] = set()
    found, scores_bytes = [], 0
    classifiers = trainee.network.classifiers()
    for number, (name, classifier) in enumerate(classifiers.items(), start=1):
        seen = share if classifier.shard is None else share * dist.ranks()
        why = why_not_fused(trainee.config)
        if why is None and not classifier.can_be_fused:
            why = f"its gradient is added up over {dist.ranks()} ranks"
        if why is None:
            fused |= {f"{name}.weight", f"{name}.bias"}
        rows = seen * (streams if number == len(classifiers) else 1)
        found.append(PlannedClassifier(name, classifier.describe(rows, trainee.dtype), why))
        scores_bytes += classifier.buffer_bytes(rows, trainee.dtype)
    return fused, found, scores_bytes


def _whole(parameter: nn.Parameter, shard: dist.Shard | None) -> int:
    """Numbers in a parameter, all its rows wherever they are."""
    return parameter.numel() if shard is None else shard.rows * math.prod(parameter.shape[1:])


def _activations(trainee: Trainee, batch: Batch) -> int:
    """Bytes that autograd keeps for the backward of one batch, without the weights."""
    weights = {p.untyped_storage().data_ptr() for p in cast(nn.Module, trainee.network).parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), trainee.autocast():
        trainee.network.loss(batch)
    return sum(kept.values())
