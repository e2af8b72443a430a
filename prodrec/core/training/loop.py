"""The training loop: a generator that yields steps. The caller validates, saves and logs between them.

A step is one update of the weights: forward and backward over `accumulate` batches, then the optimizer. On several
ranks, each rank has its shard of every batch, and all ranks take the same steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import Batch
from prodrec.core.training.data_parallel import DataParallelLoss, all_reduce_losses, clip_gradients
from prodrec.core.training.schedule import count_head_steps, count_steps, count_steps_per_epoch, learning_rate
from prodrec.core.training.train_state import TrainState

EpochBatches = Callable[[int, int], Iterator[Batch]]
"""Called with an epoch, from 0, and a number of batches to skip. Returns the remaining batches, on the device."""

Flags = Callable[[], dict[str, bool]]
"""Called once in every step. Returns flags of this rank, such as a request to stop."""


@dataclass
class Position:
    """The point that a training has reached. A checkpoint saves it.

    epoch, batch: epoch of the next batch, and its number in the epoch, both from 0
    step:         number of completed steps
    sums, count:  sums of the losses of this epoch's steps by name, and the number of these steps
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add_step(self, batches: int, losses: dict[str, float]) -> None:
        """Add a step of `batches` batches and its losses."""
        self.batch += batches
        self.step += 1
        self.count += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def mean_losses(self) -> dict[str, float]:
        """Return the mean losses of this epoch's steps."""
        return {name: value / self.count for name, value in self.sums.items()}

    def start_next_epoch(self) -> None:
        """Move to the first batch of the next epoch."""
        self.epoch, self.batch, self.sums, self.count = self.epoch + 1, 0, {}, 0


@dataclass(frozen=True)
class Step:
    """A completed step.

    step, epoch:  number of the step and of its epoch, both from 1
    photos:       number of photos, on all ranks
    losses:       mean losses over these photos, by name; "loss" is the one that is minimised
    epoch_losses: mean losses of the steps of this epoch so far, by name
    flags:        names of the flags that are set on any rank
    """

    step: int
    epoch: int
    photos: int
    lr: float
    losses: dict[str, float]
    epoch_losses: dict[str, float]
    ends_epoch: bool
    flags: frozenset[str] = frozenset()


def train_steps(
    train_state: TrainState,
    epoch_batches: EpochBatches,
    *,
    batches_per_epoch: int,
    position: Position,
    flags: Flags = dict,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[Step]:
    """Train from `position` to the end and yield every step. `position` is updated before a step is yielded.

    epoch_batches: on several ranks, yields the shards of this rank
    flags:         see Step.flags
    is_over:       called before every epoch, or the rest of one; if it returns true, on all ranks, training ends

    Raise ProdrecError, before the weights change, if the loss or, with `clip_norm`, the norm of the gradient is not
    finite.
    """
    config = train_state.config
    steps_per_epoch = count_steps_per_epoch(config, batches_per_epoch)
    last_step = count_steps(config, batches_per_epoch)
    head_steps = count_head_steps(config, steps_per_epoch)
    loss_function: DataParallelLoss | None = None
    while position.step < last_step and not is_over():
        train_state.network.train()
        batches = epoch_batches(position.epoch, position.batch)
        ends_epoch = False
        while not ends_epoch:
            if loss_function is None or position.step == head_steps:
                loss_function = None  # its hooks on the parameters are removed before others are added
                loss_function = _start_stage(train_state, holds_backbone=position.step < head_steps)
            lr = learning_rate(config, position.step, steps_per_epoch)
            remaining = batches_per_epoch - position.batch
            step_batches = list(itertools.islice(batches, min(config.accumulate, remaining)))
            step_batches = [replace(batch, progress=position.step / last_step) for batch in step_batches]
            losses, set_flags = _update(train_state, loss_function, step_batches, lr, step=position.step, flags=flags)
            position.add_step(len(step_batches), losses)
            epoch, epoch_losses = position.epoch + 1, position.mean_losses()
            ends_epoch = position.batch == batches_per_epoch or position.step == last_step
            if ends_epoch:
                position.start_next_epoch()
            photos = sum(batch.global_size for batch in step_batches)
            yield Step(position.step, epoch, photos, lr, losses, epoch_losses, ends_epoch, set_flags)


def _start_stage(train_state: TrainState, *, holds_backbone: bool) -> DataParallelLoss:
    """Return the loss function of a stage of the training, for the parameters that the stage trains."""
    if train_state.config.head_epochs:
        train_state.network.hold_backbone(holds_backbone)
        train_state.network.train()
    return DataParallelLoss(train_state.network, compiled=train_state.config.compile)


def _update(
    train_state: TrainState,
    loss_function: DataParallelLoss,
    batches: list[Batch],
    lr: float,
    *,
    step: int,
    flags: Flags,
) -> tuple[dict[str, float], frozenset[str]]:
    """Update the weights once. Return the mean losses over the photos of all `batches`, and the flags that are set."""
    config, optimizer = train_state.config, train_state.optimizer
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]
    optimizer.zero_grad(set_to_none=True)
    photos = sum(batch.global_size for batch in batches)
    local_losses: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        is_last = index == len(batches) - 1
        share = batch.global_size / photos
        seed_batch(config.seed, step, index)
        with nullcontext() if is_last else loss_function.no_sync():
            with train_state.autocast():
                batch_losses = loss_function(batch)
            for name, value in {"loss": batch_losses.total.detach(), **batch_losses.terms}.items():
                local_losses[name] = local_losses.get(name, 0) + value * share
            if is_last:  # this backward may update classifiers: all ranks check the loss before it
                losses, set_flags = all_reduce_losses(local_losses, flags())
                _check_finite("loss", losses["loss"], lr=lr)
            (batch_losses.total * share).backward()  # type: ignore[no-untyped-call]
    if config.clip_norm is not None:
        norm = clip_gradients(train_state.network, config.clip_norm)
        _check_finite("norm of the gradient", float(norm), lr=lr)
    optimizer.step()
    if train_state.average is not None:
        train_state.average.update_parameters(cast(nn.Module, train_state.network))
    return losses, set_flags


def _check_finite(name: str, value: float, *, lr: float) -> None:
    """Raise ProdrecError if `value`, which is equal on all ranks, is not finite."""
    if not math.isfinite(value):
        raise ProdrecError(f"the {name} became {value} at learning rate {lr:g}; try a lower lr, or warmup_epochs.")


def seed_batch(seed: int, step: int, index: int) -> None:
    """Seed torch's generators for batch `index` of a step on this rank.

    The random numbers of training depend on these arguments alone, so a checkpoint contains no state of a generator.
    """
    sequence = np.random.SeedSequence((seed, step, index, dist.rank()))
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))
