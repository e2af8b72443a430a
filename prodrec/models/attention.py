"""Spatial attention (S §3.2, fig. 2): a weight for every cell of a feature map.

Shapes: B rows, D feature maps, H×W cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """Multiply all feature maps by one weight per cell.

        weights_BHW = sigmoid(1×1 convolution of the maps) · template_HW
        output_BDHW = maps_BDHW · weights_BHW

    The template is learned and is the same for all photos. The convolution makes the weights depend on the photo ("a
    dynamic weight matrix … of a given image").

    The paper names these parts but gives no formula. These are guesses: the convolution has one output, so a cell has
    one weight; the sigmoid is multiplied by the template; the template is initially 1, and the convolution's bias 0.

    init_std: standard deviation of the Gaussian that initialises the weights of the convolution, 1 in the paper
    """

    def __init__(self, maps: int, grid: tuple[int, int], *, init_std: float = 1.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(maps, 1, kernel_size=1)
        self.template_HW = nn.Parameter(torch.ones(grid))
        nn.init.normal_(self.convolution.weight, std=init_std)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)

    def forward(self, maps_BDHW: Tensor) -> Tensor:
        """Return the weighted feature maps B×D×H×W."""
        attended_BDHW: Tensor = maps_BDHW * self.weights(maps_BDHW).unsqueeze(1)
        return attended_BDHW

    def weights(self, maps_BDHW: Tensor) -> Tensor:
        """Return the weight of every cell, B×H×W."""
        weights_BHW: Tensor = self.convolution(maps_BDHW).sigmoid().squeeze(1) * self.template_HW
        return weights_BHW
