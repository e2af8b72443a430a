"""Mixes the visual feature of a photo with the semantic feature of its title; one classifier scores both kinds.

Shapes: B rows, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Maximum(nn.Module):
    """mixed = max(visual, semantic), elementwise (A §3.3)."""

    def forward(self, visual_BD: Tensor, semantic_BD: Tensor) -> Tensor:
        return torch.maximum(visual_BD, semantic_BD)


class Sum(nn.Module):
    """mixed = visual + semantic."""

    def forward(self, visual_BD: Tensor, semantic_BD: Tensor) -> Tensor:
        return visual_BD + semantic_BD


class Gate(nn.Module):
    """mixed = g ⊙ visual + (1 − g) ⊙ semantic, g = sigmoid(G [visual; semantic] + b) (Arevalo et al. 2017, eq. 2).

    "Gated multimodal units for information fusion". It starts at g = 1/2 for all rows.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * features, features)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, visual_BD: Tensor, semantic_BD: Tensor) -> Tensor:
        g_BD = torch.sigmoid(self.gate(torch.cat([visual_BD, semantic_BD], dim=1)))
        return g_BD * visual_BD + (1 - g_BD) * semantic_BD


class Concatenation(nn.Module):
    """mixed = ReLU(P [visual; semantic] + b). The layer brings both to the width that the shared classifier scores.

    It starts as the sum of both.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * features, features)
        if not self.project.weight.is_meta:
            with torch.no_grad():
                self.project.weight.copy_(torch.eye(features).repeat(1, 2))
                self.project.bias.zero_()

    def forward(self, visual_BD: Tensor, semantic_BD: Tensor) -> Tensor:
        return torch.relu(self.project(torch.cat([visual_BD, semantic_BD], dim=1)))


def build_mixing(name: str, features: int) -> nn.Module:
    """Return the module that the setting `mixing` names, for features of this width."""
    if name in ("gate", "concat"):
        return {"gate": Gate, "concat": Concatenation}[name](features)
    return {"max": Maximum, "sum": Sum}[name]()
