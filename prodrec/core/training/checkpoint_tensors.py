"""The tensors that training changes, by name. A checkpoint contains these:

network.NAME            parameters and buffers
optimizer.NAME.KEY      state of the optimizer for a parameter: momentum_buffer; exp_avg, exp_avg_sq, step
average.NAME            the moving average, if there is one
best.NAME               the best weights so far, if the run keeps them
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from prodrec.core.base.dist import Shard
from prodrec.core.training.train_state import TrainState


def checkpoint_tensors(
    train_state: TrainState, best_weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Shard]]:
    """Return the tensors by name, detached but not copied, and this rank's shard of each sharded one by name."""
    initialize_optimizer_state(train_state.optimizer)
    network_shards = train_state.network.shards()
    tensors: dict[str, Tensor] = {}
    shards: dict[str, Shard] = {}

    def add(name: str, tensor: Tensor, parameter_name: str) -> None:
        tensors[name] = tensor.detach()
        if parameter_name in network_shards:
            shards[name] = network_shards[parameter_name]

    for name, tensor in train_state.network.state_dict().items():
        add(f"network.{name}", tensor, name)
    for name, parameter in train_state.network.named_parameters():
        for key, tensor in train_state.optimizer.state.get(parameter, {}).items():
            has_rows = tensor.shape[:1] == parameter.shape[:1]  # AdamW's number of steps has none
            add(f"optimizer.{name}.{key}", tensor, name if has_rows else "")
    if train_state.average is not None:
        for name, tensor in train_state.average.state_dict().items():
            add(f"average.{name}", tensor, name.removeprefix("module."))
    for name, tensor in best_weights.items():
        add(f"best.{name}", tensor, name)
    return tensors, shards


def initialize_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Give every parameter without state the state that precedes its first step, all zeros.

    A checkpoint of step 0 then has the same tensors as a later one. The steps do not change: the first momentum of SGD
    is the gradient itself, which 0.9 · 0 + gradient equals, and AdamW starts with zeros anyway.
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
