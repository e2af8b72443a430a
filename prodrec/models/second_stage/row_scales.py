"""The updates of lws: a scale for every class, trained while the weights that it multiplies are frozen.

Shapes: N classes of this rank, n of a chunk, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prodrec.models.classifier.chunks import RowIndex, select_rows
from prodrec.models.classifier.row_optimizers import row_optimizer_for


class RowScales:
    """Trains f of w_c = f_c v_c with v frozen, inside a backward pass that computes ∂loss/∂w chunk by chunk.

        ∂loss/∂f_c = ∂loss/∂w_c · v_c

    weight_ND: the weights w, which every update keeps at f_c v_c
    frozen_ND: v
    scale_N:   f, with which `optimizer` was made
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, scale_N: nn.Parameter, *, weight_ND: Tensor, frozen_ND: Tensor
    ) -> None:
        self.scale_N = scale_N
        self.weight_ND = weight_ND
        self.frozen_ND = frozen_ND
        self._optimizer = row_optimizer_for(optimizer, (scale_N,))

    def begin_step(self) -> None:
        """Count another step of the optimizer."""
        self._optimizer.begin_step()

    def update(self, parameter: Tensor, index: RowIndex, gradient: Tensor, *, values: Tensor | None = None) -> None:
        """Update the scales of some classes by the gradient of their weights, and then these weights.

        values: is ignored; `RowOptimizer.update` has it
        """
        assert parameter is self.weight_ND, "the weights alone are scaled"
        frozen_nD = select_rows(self.frozen_ND, index)
        self._optimizer.update(self.scale_N, index, (gradient * frozen_nD).sum(1))
        scaled_nD = frozen_nD * select_rows(self.scale_N.detach(), index).unsqueeze(1)
        if isinstance(index, slice):
            self.weight_ND.detach()[index] = scaled_nD
        else:
            self.weight_ND.detach().index_copy_(0, index, scaled_nD)
        torch.autograd.graph.increment_version(self.weight_ND)
