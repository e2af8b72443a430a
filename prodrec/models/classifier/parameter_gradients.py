"""The gradients of a classifier's weight and bias, complete as soon as a chunk of classes is.

Shapes: A rows of all ranks, D features, n classes of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prodrec.models.classifier.chunks import ClassChunk
from prodrec.models.classifier.row_optimizers import RowUpdates


class ParameterGradients:
    """The gradients of weight and bias: passed to the row optimizer chunk by chunk, or collected in `whole`."""

    def __init__(
        self, parameters: tuple[Tensor, Tensor], row_optimizer: RowUpdates | None, *, needed: tuple[bool, bool]
    ) -> None:
        self.parameters, self.row_optimizer, self.needed = parameters, row_optimizer, needed
        self.whole: list[Tensor | None] = [
            torch.zeros_like(parameter) if is_needed and row_optimizer is None else None
            for parameter, is_needed in zip(parameters, needed, strict=True)
        ]

    def add(self, chunk: ClassChunk, dz_An: Tensor, x_AD: Tensor) -> None:
        """Collect the gradients of a chunk's classes, or pass them to the row optimizer, which overwrites its weights.

        dz_An: gradient of the scores of these classes
        """
        d_weight_nD = chunk.weight_gradient(torch.mm(dz_An.t(), x_AD)) if self.needed[0] else None
        d_bias_n = dz_An.sum(0, dtype=self.parameters[1].dtype) if self.needed[1] else None
        own_nD = chunk.weight_nD if chunk.length_n is None else None  # weights at length 1 are not those to update
        gradients = zip(self.parameters, self.whole, (d_weight_nD, d_bias_n), (own_nD, None), strict=True)
        for parameter, whole, gradient, values in gradients:
            if gradient is None:
                continue
            if whole is not None:
                if isinstance(chunk.index, slice):
                    whole[chunk.index] = gradient
                else:
                    whole.index_copy_(0, chunk.index, gradient.to(whole.dtype))
            elif self.row_optimizer is not None:
                self.row_optimizer.update(parameter, chunk.index, gradient.to(parameter.dtype), values=values)
