"""Fused updates: torch's optimizers, applied to some rows of a parameter as soon as their gradient is known.

Learning rate, momentum, weight decay and the like are read from the parameter's group. The state (momentum) is in the
optimizer, so a checkpoint of the optimizer contains it. The parameter gets no gradient, so the optimizer's own step
skips it. Rows outside an update are unchanged: neither decayed nor moved by momentum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from prodrec.models.classifier.chunks import RowIndex, select_rows


class RowUpdates(Protocol):
    """What a backward pass calls: `begin_step` once, then `update` with the gradient of rows of a parameter.

    `RowOptimizer.update` has the arguments.
    """

    def begin_step(self) -> None: ...
    def update(self, parameter: Tensor, index: RowIndex, gradient: Tensor, *, values: Tensor | None = None) -> None: ...


class RowOptimizer(ABC):
    """Updates rows of some parameters: `begin_step` once a step, then `update` for any of their rows, once each."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.parameters = tuple(parameters)
        group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        self._groups = {id(parameter): group_of[id(parameter)] for parameter in parameters}
        for parameter in parameters:
            state = optimizer.state[parameter]
            for name in self._state_names(self._groups[id(parameter)]):
                if state.get(name) is None:
                    state[name] = torch.zeros_like(parameter)

    def begin_step(self) -> None:  # noqa: B027 - not every optimizer counts steps
        """Count another step, for optimizers whose update depends on the number of steps."""

    def update(self, parameter: Tensor, index: RowIndex, gradient: Tensor, *, values: Tensor | None = None) -> None:
        """Update parameter[index] by its `gradient`, which has the parameter's number type.

        values: select_rows(parameter, index), if the caller has it; it is overwritten
        """
        group, state = self._groups[id(parameter)], self.optimizer.state[parameter]
        row_state = {name: select_rows(state[name], index) for name in self._state_names(group)}
        values = select_rows(parameter.detach(), index) if values is None else values
        self._apply(values, gradient, row_state, group, state)
        if isinstance(index, Tensor):  # values and row_state are copies
            parameter.detach().index_copy_(0, index, values)
            for name, new_state in row_state.items():
                state[name].index_copy_(0, index, new_state)
        torch.autograd.graph.increment_version(parameter)  # autograd raises if another graph needs the old values

    @abstractmethod
    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the names of the optimizer's state tensors that have the shape of the parameter."""

    @abstractmethod
    def _apply(
        self,
        values: Tensor,
        gradient: Tensor,
        row_state: dict[str, Tensor],
        group: dict[str, Any],
        state: dict[str, Any],
    ) -> None:
        """Update `values` and `row_state` in place."""


class RowSGD(RowOptimizer):
    """Updates rows as torch.optim.SGD does."""

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _apply(
        self,
        values: Tensor,
        gradient: Tensor,
        row_state: dict[str, Tensor],
        group: dict[str, Any],
        state: dict[str, Any],
    ) -> None:
        settings = {name: group[name] for name in ("lr", "momentum", "weight_decay", "dampening", "nesterov")}
        sgd([values], [gradient], [row_state.get("momentum_buffer")], maximize=False, fused=True, **settings)


class RowAdamW(RowOptimizer):
    """Updates rows as torch.optim.AdamW does. The bias correction counts all steps, even those without the row."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        super().__init__(optimizer, parameters)
        for parameter in parameters:
            self.optimizer.state[parameter].setdefault("step", torch.zeros((), device=parameter.device))

    def begin_step(self) -> None:
        for parameter in self.parameters:
            self.optimizer.state[parameter]["step"] += 1

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _apply(
        self,
        values: Tensor,
        gradient: Tensor,
        row_state: dict[str, Tensor],
        group: dict[str, Any],
        state: dict[str, Any],
    ) -> None:
        beta1, beta2 = group["betas"]
        adamw(
            [values],
            [gradient],
            [row_state["exp_avg"]],
            [row_state["exp_avg_sq"]],
            [],
            [state["step"] - 1],  # a copy, which adamw increments
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            maximize=False,
            **{name: group[name] for name in ("lr", "weight_decay", "eps")},
        )


def row_optimizer_for(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> RowOptimizer:
    """Return the row optimizer that updates rows as `optimizer`, an SGD or AdamW, updates whole parameters."""
    kinds: dict[type, type[RowOptimizer]] = {torch.optim.SGD: RowSGD, torch.optim.AdamW: RowAdamW}
    return kinds[type(optimizer)](optimizer, parameters)
