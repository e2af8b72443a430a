"""The training loop: a generator that yields steps. Saving, drawing and logging stay with the caller.

One step is one update of the weights: `accumulate` batches forward and backward, then the optimiser. On several ranks
each has its share of every batch, and all make the same steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from prodrec.core.base import dist
from prodrec.core.base.errors import ProdrecError
from prodrec.core.data.batches import Batch
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.data_parallel import SummedLoss, add_up_losses, clip_gradients


class Losses(Protocol):
    """What a network answers to `loss(batch)`: the scalar to minimise, and its terms by name, detached.

    Of a batch that is one rank's share of a larger one, its share of that one's mean losses.
    """

    @property
    def total(self) -> Tensor: ...
    @property
    def terms(self) -> dict[str, Tensor]: ...


class TopK(Protocol):
    """The best classes of every level, best first: class numbers [B, K]; scores [B, m] of every attribute's states."""

    @property
    def classes(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class Classifier(Protocol):
    """What the plan tells of a classifier."""

    shard: dist.Shard | None

    @property
    def can_update_in_backward(self) -> bool: ...
    def describe(self, rows: int, dtype: torch.dtype) -> str: ...
    def buffer_bytes(self, rows: int, dtype: torch.dtype) -> int: ...


class Network(Protocol):
    """What training asks of a network (an nn.Module): it never sees logits, only losses and best classes.

    shards: the parameters of which this rank holds some rows only; fuse: update classifiers within backward.
    """

    def loss(self, batch: Batch) -> Losses: ...
    def top_k(self, batch: Batch, k: int) -> TopK: ...
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]: ...
    def classifiers(self) -> Mapping[str, Classifier]: ...
    def shards(self) -> Mapping[str, dist.Shard]: ...
    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None: ...
    def train(self) -> Any: ...
    def eval(self) -> Any: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, weights: dict[str, Tensor]) -> Any: ...


@dataclass
class Position:
    """Where training stands; all of it is saved in a checkpoint."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0


@dataclass(frozen=True)
class Step:
    """One update that has just been made, as number `step` (from 1) of all, in epoch `epoch` (from 1).

    `losses` are those of this step over the `photos` of all ranks; `epoch_losses` the means over the epoch so far;
    `flags` those that were raised on any rank.
    """

    step: int
    epoch: int
    photos: int
    lr: float
    losses: dict[str, float]
    epoch_losses: dict[str, float]
    ends_epoch: bool
    flags: frozenset[str] = frozenset()


@dataclass
class TrainState:
    """A network in training, with all that a checkpoint must hold."""

    network: Network
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    config: TrainingConfig
    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    @property
    def network_to_save(self) -> Network:
        """The network whose weights are validated and saved: the moving average where there is one."""
        return cast(Network, self.average.module) if self.average is not None else self.network

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype is torch.bfloat16)


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of update number `step` (from 0): a linear warm-up to lr, then the schedule."""
    epochs_done = step / steps_per_epoch
    if epochs_done < config.warmup_epochs:
        return config.lr * (step + 1) / math.ceil(config.warmup_epochs * steps_per_epoch)
    if config.schedule == "step":
        return float(config.lr * config.decay_factor ** math.floor(epochs_done / config.decay_every + 1e-9))
    if config.schedule == "cosine":
        share = (epochs_done - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return config.lr


def steps_in_all(config: TrainingConfig, batches_per_epoch: int) -> int:
    """Number of updates of the whole training; an epoch's last update may have fewer batches."""
    whole, part = divmod(config.epochs, 1)
    per_epoch = math.ceil(batches_per_epoch / config.accumulate)
    return int(whole) * per_epoch + math.ceil(part * per_epoch - 1e-9)


EpochBatches = Callable[[int, int], Iterator[Batch]]  # (epoch, batches to skip) -> batches on the device
Flags = Callable[[], dict[str, bool]]


def train_steps(
    train_state: TrainState,
    epoch_batches: EpochBatches,
    *,
    batches_per_epoch: int,
    position: Position,
    flags: Flags = dict,
) -> Iterator[Step]:
    """Train from `position` to the end, yielding each Step after its update; `position` stands after that update.

    On several ranks `epoch_batches` gives this rank's share of every batch. `flags` is asked in every step; those that
    are raised on any rank stand in Step.flags on all. Raises ProdrecError where the loss is no longer finite.
    """
    config = train_state.config
    per_epoch = math.ceil(batches_per_epoch / config.accumulate)
    last = steps_in_all(config, batches_per_epoch)
    loss_of = SummedLoss(train_state.network, compiled=config.compile)
    while position.step < last:
        train_state.network.train()
        epoch, ends_epoch = position.epoch + 1, False
        batches = epoch_batches(position.epoch, position.batch)
        while not ends_epoch:
            rate = learning_rate(config, position.step, per_epoch)
            group = list(itertools.islice(batches, min(config.accumulate, batches_per_epoch - position.batch)))
            losses, raised = _update(train_state, loss_of, group, rate, step=position.step, flags=flags)
            means = _move(position, len(group), losses)
            ends_epoch = position.batch == batches_per_epoch or position.step == last
            if ends_epoch:
                position.epoch, position.batch, position.sums, position.count = epoch, 0, {}, 0
            photos = sum(batch.global_size for batch in group)
            yield Step(position.step, epoch, photos, rate, losses, means, ends_epoch, raised)


def _update(
    train_state: TrainState, loss_of: SummedLoss, group: list[Batch], rate: float, *, step: int, flags: Flags
) -> tuple[dict[str, float], frozenset[str]]:
    """Forward and backward over the batches of one step, then one update. Mean losses over its photos, by part."""
    config = train_state.config
    for parameters in train_state.optimizer.param_groups:
        parameters["lr"] = rate * parameters["scale"]
    train_state.optimizer.zero_grad(set_to_none=True)
    photos = sum(batch.global_size for batch in group)
    sums: dict[str, Tensor] = {}
    for number, batch in enumerate(group):
        share = batch.global_size / photos
        seed_batch(config.seed, step, number)
        with nullcontext() if batch is group[-1] else loss_of.gradients_stay():
            with train_state.autocast():
                found = loss_of(batch)
            (found.total * share).backward()  # type: ignore[no-untyped-call]
        for name, value in {"loss": found.total.detach(), **found.terms}.items():
            sums[name] = sums.get(name, 0) + value * share
    losses, raised = add_up_losses(sums, flags())
    if not math.isfinite(losses["loss"]):
        became = losses["loss"]
        raise ProdrecError(f"the loss became {became} at learning rate {rate:g}; try a lower lr, or warmup_epochs.")
    if config.clip_norm is not None:
        clip_gradients(train_state.network, config.clip_norm)
    train_state.optimizer.step()
    if train_state.average is not None:
        train_state.average.update_parameters(cast(nn.Module, train_state.network))
    return losses, raised


def seed_batch(seed: int, step: int, number: int) -> None:
    """Seed torch's generators for batch `number` of update `step` on this rank.

    What is random in training depends on these alone, so that a resumed run needs to know no state of a generator.
    """
    mixed = np.random.SeedSequence((seed, step, number, dist.rank()))
    torch.manual_seed(int(mixed.generate_state(1, np.uint64)[0]))


def _move(position: Position, batches: int, losses: dict[str, float]) -> dict[str, float]:
    """Count the step; the mean losses of the epoch so far."""
    position.batch += batches
    position.step += 1
    position.count += 1
    for name, value in losses.items():
        position.sums[name] = position.sums.get(name, 0.0) + value
    return {name: value / position.count for name, value in position.sums.items()}
