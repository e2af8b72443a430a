"""A network in training, with its optimizer and its moving average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from prodrec.core.base import dist
from prodrec.core.base.errors import ProdrecError
from prodrec.core.training.config import TrainingConfig
from prodrec.core.training.precision import Precision, choose_precision
from prodrec.core.training.protocols import Network

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass
class TrainState:
    """A network in training, with its optimizer, moving average and settings. A checkpoint saves the tensors.

    average: the moving average of the weights, or None if `ema` is off
    """

    network: Network
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    config: TrainingConfig
    device: torch.device
    precision: Precision

    @property
    def network_to_save(self) -> Network:
        """The network whose weights are validated and saved: the moving average, or the network if there is none."""
        return cast(Network, self.average.module) if self.average is not None else self.network

    def autocast(self) -> torch.autocast:
        """Return the context in which losses and scores are computed."""
        use_bf16 = self.precision.dtype is torch.bfloat16
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=use_bf16)


def make_train_state(
    network: Network,
    config: TrainingConfig,
    device: torch.device,
    *,
    pixels: int = 224 * 224,
    precision: Precision | None = None,
) -> TrainState:
    """Move the network to `device` and return it with its optimizer and moving average.

    network:   its parts with learning rate 0 are frozen
    pixels:    pixels of a photo, from which the precision is chosen
    precision: precision of the run that is resumed; None chooses one

    Raise ProdrecError if every part of the network is frozen.
    """
    precision = precision or dist.broadcast(choose_precision(config, device, pixels=pixels))
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    module = cast(nn.Module, network)
    module.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    average = None
    if config.ema:
        average = AveragedModel(module, multi_avg_fn=_moving_average(config.ema), use_buffers=True)
    optimizer = _make_optimizer(_parameter_groups(network, config), config)
    if reason_against_fused_update(config) is None:
        network.update_in_backward(optimizer)
    return TrainState(network, optimizer, average, config, device, precision)


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return the function that updates tensors of one type: a ← d a + (1 − d) w, or a ← w for integers.

    torch's own function averages integers too and rounds down, which changes indices.
    """
    average_floats = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            average_floats(averaged, current, count)
        else:
            torch._foreach_copy_(averaged, current)

    return update


def reason_against_fused_update(config: TrainingConfig) -> str | None:
    """Return why the settings do not allow updating classifiers within backward, or None if they allow it."""
    if config.fused_update == "no":
        return "fused_update=no"
    if config.clip_norm is not None:
        return f"clip_norm={config.clip_norm:g} needs its whole gradient"
    return f"accumulate={config.accumulate} needs its whole gradient" if config.accumulate > 1 else None


def learning_rate_scales(config: TrainingConfig) -> dict[str, float]:
    """Return the factor of the learning rate of the parts of a network whose factor is a setting; 0 keeps a part."""
    return {"backbone": config.backbone_lr_scale, "word_vectors": config.word_vectors_lr_scale}


def _parameter_groups(network: Network, config: TrainingConfig) -> list[dict[str, Any]]:
    """Return the groups of every part: one with weight decay, and one without it for biases and norms (one dimension).

    The learning rate of a group is `scale` times that of the schedule. With `layer_lr_decay`, every stage of the
    backbone has groups of its own.
    """
    scales = learning_rate_scales(config)
    groups = []
    for part, parameters in network.parameter_groups().items():
        scale = scales.get(part, 1.0)
        if scale == 0:
            for parameter in parameters:
                parameter.requires_grad_(False)
            continue
        by_scale = [(scale, parameters)]
        if part == "backbone" and config.layer_lr_decay != 1:
            by_scale = _decay_by_stage(network, parameters, scale, config.layer_lr_decay)
        for own_scale, own in by_scale:
            for has_decay in (True, False):
                chosen = [p for p in own if (p.ndim > 1) == has_decay]
                if chosen:
                    weight_decay = config.weight_decay if has_decay else 0.0
                    groups.append({"params": chosen, "weight_decay": weight_decay, "scale": own_scale, "part": part})
    if not groups:
        raise ProdrecError("nothing to train: every part of the network is frozen.")
    return groups


def _decay_by_stage(
    network: Network, parameters: list[nn.Parameter], scale: float, decay: float
) -> list[tuple[float, list[nn.Parameter]]]:
    """Return (scale, parameters) of every stage of the backbone that is trained.

    The scale of stage s of S, counted from 1, is scale · decay^(S − s): that of the last stage is `scale` (Clark et al.
    2020, "ELECTRA", appendix; Bao et al. 2022, "BEiT", where that of the last stage is `decay` as well).
    """
    trained = {id(parameter) for parameter in parameters}
    stages = network.backbone_stages()
    by_scale = []
    for number, stage in enumerate(stages, start=1):
        own = [parameter for parameter in stage if id(parameter) in trained]
        by_scale.append((scale * decay ** (len(stages) - number), own))
    return by_scale


def _make_optimizer(groups: list[dict[str, Any]], config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer with torch's fused kernels, also for fused_update=no.

    They give the same bits as the updates within backward, which use them too. torch's other kernels round differently
    (by 1e-6 after 20 steps of SGD).
    """
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.momentum, 0.999), fused=True)
