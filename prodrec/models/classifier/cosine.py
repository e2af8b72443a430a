"""The cosine form of a classifier: scores = s · cos(x, w_c), with a learned scale s and no bias.

Gidaris and Komodakis 2018, "Dynamic few-shot visual learning without forgetting", §3.2; Wang et al. 2017, "NormFace".
The length of w_c, which grows with the number of images of a class, has no effect on the scores.

Features are normalised before the softmax loss, with autograd. Weights are normalised chunk by chunk inside it:
u = w / |w|, and a gradient g of u gives the gradient of w

    ∂L/∂w = (g − (g · u) u) / |w|

Shapes: B rows, D features, n classes of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHORTEST = 1e-6
"""Shorter features have the scores 0 and no gradient: after a ReLU, a feature may be exactly 0, which has no direction.
Shorter weights are divided by this length."""


def unit_length(features_BD: Tensor) -> Tensor:
    """Return the features at length 1; those shorter than SHORTEST are 0."""
    length_B1 = features_BD.norm(dim=1, keepdim=True)
    return torch.where(length_B1 > SHORTEST, features_BD / length_B1.clamp(min=SHORTEST), 0)


def unit_weights(weight_nD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights at length 1, and the lengths that they were divided by [n]."""
    length_n = weight_nD.norm(dim=1).clamp(min=SHORTEST)
    return weight_nD / length_n.unsqueeze(1), length_n


def gradient_before_unit(gradient_nD: Tensor, unit_nD: Tensor, length_n: Tensor) -> Tensor:
    """Return the gradient of weights from the gradient of the same weights at length 1."""
    along_n1 = (gradient_nD * unit_nD).sum(1, keepdim=True)
    return (gradient_nD - along_n1 * unit_nD) / length_n.unsqueeze(1)
