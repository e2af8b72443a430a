"""All tensors that training changes, by name: what a checkpoint holds.

network.NAME            parameters and buffers
optimizer.NAME.KEY      what the optimiser keeps for a parameter: momentum_buffer; exp_avg, exp_avg_sq, step
average.NAME            the moving average, where there is one
best.NAME               the best weights so far, where they are kept
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from prodrec.core.base.dist import Shard

if TYPE_CHECKING:
    from prodrec.core.training.loop import TrainState


def state_of(train_state: TrainState, best: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Shard]]:
    """The tensors themselves, not copies, and what this rank holds of those that the ranks share by rows."""
    begin(train_state.optimizer)
    of_network = train_state.network.shards()
    tensors, shards = {}, {}
    for name, tensor in train_state.network.state_dict().items():
        tensors[f"network.{name}"] = tensor
        if name in of_network:
            shards[f"network.{name}"] = of_network[name]
    for name, parameter in cast(nn.Module, train_state.network).named_parameters():
        shard = of_network.get(name)
        for key, value in train_state.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = value
            if shard is not None and value.shape[:1] == parameter.shape[:1]:  # a count of steps has no rows
                shards[f"optimizer.{name}.{key}"] = shard
    average = train_state.average.state_dict() if train_state.average is not None else {}
    for name, tensor in average.items():
        tensors[f"average.{name}"] = tensor
        if name.removeprefix("module.") in of_network:
            shards[f"average.{name}"] = of_network[name.removeprefix("module.")]
    for name, tensor in best.items():
        tensors[f"best.{name}"] = tensor
        if name in of_network:
            shards[f"best.{name}"] = of_network[name]
    return {name: tensor.detach() for name, tensor in tensors.items()}, shards


def begin(optimizer: torch.optim.Optimizer) -> None:
    """Give every parameter that has none the state in which its first step would begin, all zeros.

    So a checkpoint of step 0 has the same tensors as any other. The steps are the same: SGD's first momentum is the
    gradient itself, and 0.9 · 0 + gradient is that; AdamW begins with zeros anyway.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if state:
                continue
            if isinstance(optimizer, torch.optim.SGD):
                if group["momentum"]:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
            else:
                state["step"] = torch.zeros((), device=parameter.device if group["fused"] else "cpu")
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
