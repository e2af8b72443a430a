"""The training loop: a generator that yields steps. Saving, drawing and logging stay with the caller.

One step is one update of the weights: `accumulate` batches forward and backward, then the optimiser.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from prodrec.core.data.batches import Batch
from prodrec.core.errors import ProdrecError
from prodrec.core.training.config import TrainingConfig


class Losses(Protocol):
    """What a network answers to `loss(batch)`: the scalar to minimise, and its parts by name, detached."""

    @property
    def total(self) -> Tensor: ...
    @property
    def parts(self) -> dict[str, Tensor]: ...


class TopK(Protocol):
    """The best classes of every level, best first: class numbers [B, K]; scores [B, m] of every attribute's states."""

    @property
    def classes(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class Network(Protocol):
    """What training asks of a network (an nn.Module): it never sees logits, only losses and best classes."""

    def loss(self, batch: Batch) -> Losses: ...
    def top_k(self, batch: Batch, k: int) -> TopK: ...
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]: ...
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

    `losses` are those of this step; `epoch_losses` the means over the epoch so far.
    """

    step: int
    epoch: int
    photos: int
    lr: float
    losses: dict[str, float]
    epoch_losses: dict[str, float]
    ends_epoch: bool


@dataclass
class Trainee:
    """A network in training, with all that a checkpoint must hold."""

    network: Network
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    config: TrainingConfig
    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    @property
    def to_keep(self) -> Network:
        """The network whose weights are validated and saved: the moving average where there is one."""
        return cast(Network, self.average.module) if self.average is not None else self.network

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype is torch.bfloat16)


def make_trainee(
    network: Network,
    config: TrainingConfig,
    device: torch.device,
    *,
    pixels: int = 224 * 224,
    arithmetic: tuple[torch.dtype, bool] | None = None,
) -> Trainee:
    """Put the network on its device and give it an optimiser as `config` says.

    `pixels` of a photo decide on the arithmetic, unless that is given (a resumed run keeps its own).
    `network.parameter_groups()` names its trainable parameters by part; a part whose learning rate is 0 is frozen.
    """
    dtype, channels_last = arithmetic or choose_arithmetic(config, device, pixels=pixels)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    cast(nn.Module, network).to(device=device, memory_format=layout)  # type: ignore[call-overload]
    average = None
    if config.ema:
        follow = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        average = AveragedModel(cast(nn.Module, network), multi_avg_fn=follow, use_buffers=True)
    optimizer = _optimizer(_parameter_groups(network, config), config)
    return Trainee(network, optimizer, average, config, device, dtype, channels_last)


BF16_PIXELS_ON_CPU = 160 * 160


def choose_arithmetic(config: TrainingConfig, device: torch.device, *, pixels: int) -> tuple[torch.dtype, bool]:
    """(bfloat16 or float32, channels-last or not), as set, or where it pays when `auto`.

    `auto` is a rule, not a timing, so that the same command computes the same numbers on the same kind of machine: bf16
    on GPUs that have it, and on CPUs that multiply in it for photos of at least 160x160 pixels (measured: 2.3 to 4.3
    times as fast at 224x224, 0.65 times at 80x60); channels-last always (1.3 to 1.6 times as fast on a CPU).
    """
    if config.precision == "auto":
        on_gpu = device.type == "cuda"
        has_bf16 = torch.cuda.is_bf16_supported() if on_gpu else _cpu_multiplies_bf16() and pixels >= BF16_PIXELS_ON_CPU
        dtype = torch.bfloat16 if has_bf16 else torch.float32
    else:
        dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    return dtype, config.channels_last != "no"


def _cpu_multiplies_bf16() -> bool:
    cpu = torch.backends.cpu.get_cpu_capability()
    probes = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "AVX512" in cpu and any(probe() for probe in probes if probe)


def _parameter_groups(network: Network, config: TrainingConfig) -> list[dict[str, Any]]:
    """One group a part and kind of weight decay; biases and norms (one dimension) are not decayed."""
    scales = {"backbone": config.backbone_lr_scale, "word_vectors": config.word_vectors_lr_scale}
    groups = []
    for part, parameters in network.parameter_groups().items():
        scale = scales.get(part, 1.0)
        if scale == 0:
            for parameter in parameters:
                parameter.requires_grad_(False)
            continue
        for decayed in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == decayed]
            if chosen:
                decay = config.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "weight_decay": decay, "scale": scale, "part": part})
    if not groups:
        raise ProdrecError("nothing to train: every part of the network is frozen.")
    return groups


def _optimizer(groups: list[dict[str, Any]], config: TrainingConfig) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999), fused=True)


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
    return int(whole) * per_epoch + math.ceil(part * per_epoch)


EpochBatches = Callable[[int, int], Iterator[Batch]]  # (epoch, batches to skip) -> batches on the device


def train_steps(
    trainee: Trainee, epoch_batches: EpochBatches, *, batches_per_epoch: int, position: Position
) -> Iterator[Step]:
    """Train from `position` to the end, yielding each Step after its update; `position` stands after that update.

    Raises ProdrecError where the loss is no longer finite.
    """
    config = trainee.config
    per_epoch = math.ceil(batches_per_epoch / config.accumulate)
    last = steps_in_all(config, batches_per_epoch)
    loss_of = torch.compile(trainee.network.loss) if config.compile else trainee.network.loss
    while position.step < last:
        trainee.network.train()
        epoch, ends_epoch = position.epoch + 1, False
        batches = epoch_batches(position.epoch, position.batch)
        while not ends_epoch:
            rate = learning_rate(config, position.step, per_epoch)
            group = list(itertools.islice(batches, min(config.accumulate, batches_per_epoch - position.batch)))
            losses = _update(trainee, loss_of, group, rate)
            means = _move(position, len(group), losses)
            ends_epoch = position.batch == batches_per_epoch or position.step == last
            if ends_epoch:
                position.epoch, position.batch, position.sums, position.count = epoch, 0, {}, 0
            yield Step(position.step, epoch, sum(map(len, group)), rate, losses, means, ends_epoch)


def _update(trainee: Trainee, loss_of: Callable[[Batch], Losses], group: list[Batch], rate: float) -> dict[str, float]:
    """Forward and backward over the batches of one step, then one update. Mean losses over its photos, by part."""
    for parameters in trainee.optimizer.param_groups:
        parameters["lr"] = rate * parameters["scale"]
    trainee.optimizer.zero_grad(set_to_none=True)
    photos = sum(map(len, group))
    sums: dict[str, Tensor] = {}
    for batch in group:
        share = len(batch) / photos
        with trainee.autocast():
            found = loss_of(batch)
        (found.total * share).backward()  # type: ignore[no-untyped-call]
        for name, value in {"loss": found.total.detach(), **found.parts}.items():
            sums[name] = sums.get(name, 0) + value * share
    losses = {name: float(value) for name, value in sums.items()}
    if not math.isfinite(losses["loss"]):
        became = losses["loss"]
        raise ProdrecError(f"the loss became {became} at learning rate {rate:g}; try a lower lr, or warmup_epochs.")
    if trainee.config.clip_norm is not None:
        nn.utils.clip_grad_norm_(trainee.network.parameters(), trainee.config.clip_norm)
    trainee.optimizer.step()
    if trainee.average is not None:
        trainee.average.update_parameters(cast(nn.Module, trainee.network))
    return losses


def _move(position: Position, batches: int, losses: dict[str, float]) -> dict[str, float]:
    """Count the step; the mean losses of the epoch so far."""
    position.batch += batches
    position.step += 1
    position.count += 1
    for name, value in losses.items():
        position.sums[name] = position.sums.get(name, 0.0) + value
    return {name: value / position.count for name, value in position.sums.items()}
