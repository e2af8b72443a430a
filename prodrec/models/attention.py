"""Spatial attention (S §3.2, fig. 2): how much every grid cell of a feature map counts.

Shapes: B rows, D feature maps, H×W grid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """maps ⊙ (sigmoid(1×1 convolution of the maps) ⊙ template), the weights being the same for all D maps.

    The paper describes the parts and loses the figure of how they meet. Our reading: the convolution has one output,
    so that sigmoid and template give one weight a grid cell, dynamic by the photo ("a dynamic weight matrix … of a
    given image"); the template of H×W is learned, starts at 1 and is shared by all photos.

    spread: standard deviation of the convolution's Gaussian start (the paper's is 1); its bias starts at 0 (a guess).
    """

    def __init__(self, maps: int, grid: tuple[int, int], *, spread: float = 1.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(maps, 1, kernel_size=1)
        self.template_HW = nn.Parameter(torch.ones(grid))
        nn.init.normal_(self.convolution.weight, std=spread)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        """The maps, every grid cell times its weight."""
        attended_BDHW: Tensor = maps_BDHW * self.weights(maps_BDHW).unsqueeze(1)
        return attended_BDHW

    def weights(self, maps_BDHW: Tensor) -> Tensor:
        """The weight of every grid cell, B×H×W."""
        weights_BHW: Tensor = self.convolution(maps_BDHW).sigmoid().squeeze(1) * self.template_HW
        return weights_BHW
