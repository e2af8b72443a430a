"""What a training will take, measured on a few photos before it starts: parameters, memory, time."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from prodrec.core.data.batches import Batch, PhotoBatches, training_order
from prodrec.core.data.photo_config import PhotoConfig
from prodrec.core.training.loop import Position, Trainee, steps_in_all, train_steps

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

PROBE_PHOTOS = 32
PROBE_STEPS = 3


@dataclass(frozen=True)
class Plan:
    """Sizes in bytes, times in seconds. Memory leaves out what the libraries themselves take."""

    parameters: dict[str, int]
    trainable: int
    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int
    precision: str
    device: str
    train_photos: int
    validation_photos: int
    steps: int
    seconds_per_step: float
    seconds_per_epoch: float
    seconds: float

    @property
    def bytes_in_all(self) -> int:
        return self.weights_bytes + self.gradients_bytes + self.optimizer_bytes + self.activations_bytes

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "bytes_in_all": self.bytes_in_all}


def plan(trainee: Trainee, dataset: Dataset, photos: PhotoConfig) -> Plan:
    """Run a few steps on a few real photos and scale up. Changes the trainee's weights: train a fresh one."""
    config, rows = trainee.config, dataset.rows("train")
    epoch = training_order(rows, batch_size=config.batch_size, seed=config.seed, epoch=0)
    probe = min(PROBE_PHOTOS if dataset.photos is not None else config.batch_size, config.batch_size, len(rows))
    source = PhotoBatches(dataset, photos, augment=True, seed=config.seed)

    def one_batch() -> Batch:
        return source.batch(rows[:probe]).to_device(trainee.device, photos, channels_last=trainee.channels_last)

    activations = _activations(trainee, one_batch()) / probe * config.batch_size
    steps = train_steps(
        replace(trainee, config=replace(config, epochs=1.0, warmup_epochs=0.0)),
        lambda _epoch, _skip: (one_batch() for _ in range(PROBE_STEPS * config.accumulate)),
        batches_per_epoch=max(PROBE_STEPS * config.accumulate, 1),
        position=Position(),
    )
    times = []
    for _ in range(PROBE_STEPS):
        started = time.perf_counter()
        next(steps)
        times.append(time.perf_counter() - started)
    seconds_per_photo = min(times[1:]) / (probe * config.accumulate)
    validation = len(dataset.rows("validation"))
    parameters = {name: sum(p.numel() for p in part) for name, part in _parts(trainee).items()}
    bytes_of = {p: p.numel() * p.element_size() for p in cast(nn.Module, trainee.network).parameters()}
    trainable = [p for p in bytes_of if p.requires_grad]
    gradients = sum(bytes_of[p] for p in trainable)
    return Plan(
        parameters=parameters,
        trainable=sum(p.numel() for p in trainable),
        weights_bytes=sum(bytes_of.values()) * (2 if trainee.average is not None else 1),
        gradients_bytes=gradients,
        optimizer_bytes=gradients * (1 if config.optimizer == "sgd" else 2),
        activations_bytes=round(activations),
        precision="bf16" if trainee.dtype is torch.bfloat16 else "fp32",
        device=str(trainee.device),
        train_photos=len(rows),
        validation_photos=validation,
        steps=steps_in_all(config, len(epoch)),
        seconds_per_step=seconds_per_photo * config.batch_size * config.accumulate,
        # forward alone is about a third of forward, backward and update
        seconds_per_epoch=seconds_per_photo * (len(rows) + validation / 3),
        seconds=seconds_per_photo * (len(rows) + validation / 3) * config.epochs,
    )


def _parts(trainee: Trainee) -> dict[str, list[nn.Parameter]]:
    """Parameters of the network by its child modules, trainable or not."""
    parts: dict[str, list[nn.Parameter]] = {}
    for name, parameter in cast(nn.Module, trainee.network).named_parameters():
        parts.setdefault(name.split(".")[0], []).append(parameter)
    return parts


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
