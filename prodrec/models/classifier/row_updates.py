"""What torch's optimizers do to a whole parameter, done to some of its rows as soon as their gradient is there.

Settings (learning rate, momentum, weight decay, …) are read from the parameter's group, and its state (momentum)
stands in the optimizer, row by row, so that it is saved with it. The parameter itself gets no gradient, and the
optimizer's own step leaves it alone. Rows that take no part are not touched: neither decayed nor moved by momentum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from prodrec.models.classifier.chunks import Rows, take


class RowUpdate(ABC):
    """`begin` counts a step, then `update` is called for every part of the parameters once, or not at all."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.parameters = tuple(parameters)
        group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        self._group = {id(parameter): group_of[id(parameter)] for parameter in parameters}
        for parameter in parameters:
            state = optimizer.state[parameter]
            for name in self._names(self._group[id(parameter)]):
                if state.get(name) is None:
                    state[name] = torch.zeros_like(parameter)

    def begin(self) -> None:  # noqa: B027 - most count nothing
        """Another step begins."""

    def update(self, parameter: Tensor, rows: Rows, gradient: Tensor, *, values: Tensor | None = None) -> None:
        """Update parameter[rows] by their `gradient`, of the parameter's number type.

        values: take(parameter, rows), where the caller has it and needs it no longer.
        """
        group, state = self._group[id(parameter)], self.optimizer.state[parameter]
        of_rows = {name: take(state[name], rows) for name in self._names(group)}
        values = take(parameter.detach(), rows) if values is None else values
        self._apply(values, gradient, of_rows, group, state)
        if isinstance(rows, Tensor):  # these were copies
            parameter.detach().index_copy_(0, rows, values)
            for name, changed in of_rows.items():
                state[name].index_copy_(0, rows, changed)
        torch.autograd.graph.increment_version(parameter)  # a graph that still needs the old weights must say so

    @abstractmethod
    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The names of what the optimizer keeps for every weight."""

    @abstractmethod
    def _apply(
        self, values: Tensor, gradient: Tensor, of_rows: dict[str, Tensor], group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        """Update `values` and what is kept `of_rows` in place."""


class RowSGD(RowUpdate):
    """torch.optim.SGD."""

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _apply(
        self, values: Tensor, gradient: Tensor, of_rows: dict[str, Tensor], group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        settings = {name: group[name] for name in ("lr", "momentum", "weight_decay", "dampening", "nesterov")}
        sgd([values], [gradient], [of_rows.get("momentum_buffer")], maximize=False, fused=True, **settings)


class RowAdamW(RowUpdate):
    """torch.optim.AdamW. Its bias correction counts all steps, also for rows that were left out of some."""

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> None:
        super().__init__(optimizer, parameters)
        for parameter in parameters:
            self.optimizer.state[parameter].setdefault("step", torch.zeros((), device=parameter.device))

    def begin(self) -> None:
        for parameter in self.parameters:
            self.optimizer.state[parameter]["step"] += 1

    def _names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _apply(
        self, values: Tensor, gradient: Tensor, of_rows: dict[str, Tensor], group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        adamw(
            [values],
            [gradient],
            [of_rows["exp_avg"]],
            [of_rows["exp_avg_sq"]],
            [],
            [state["step"] - 1],  # a copy: torch counts the step itself
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            maximize=False,
            **{name: group[name] for name in ("lr", "weight_decay", "eps")},
        )


def row_update(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> RowUpdate:
    """The update of rows that is `optimizer`'s own."""
    kinds: dict[type, type[RowUpdate]] = {torch.optim.SGD: RowSGD, torch.optim.AdamW: RowAdamW}
    return kinds[type(optimizer)](optimizer, parameters)
