from __future__ import annotations

import pytest
import torch

from prodrec.models.mixing import build_mixing

VISUAL_BD, SEMANTIC_BD = torch.tensor([[1.0, 0.0, 3.0]]), torch.tensor([[0.5, 2.0, -1.0]])


@pytest.mark.parametrize(
    ("name", "mixed"),
    [
        ("max", [1.0, 2.0, 3.0]),
        ("sum", [1.5, 2.0, 2.0]),
        ("gate", [0.75, 1.0, 1.0]),  # the mean, before training
        ("concat", [1.5, 2.0, 2.0]),  # the sum, before training
    ],
)
def test_mixed_feature_at_the_start(name: str, mixed: list[float]) -> None:
    torch.testing.assert_close(build_mixing(name, 3)(VISUAL_BD, SEMANTIC_BD), torch.tensor([mixed]))


def test_gate_takes_a_share_of_each() -> None:
    gate = build_mixing("gate", 3)
    with torch.no_grad():
        gate.gate.bias.copy_(torch.tensor([20.0, -20.0, 0.0]))
    torch.testing.assert_close(gate(VISUAL_BD, SEMANTIC_BD), torch.tensor([[1.0, 2.0, 1.0]]))


def test_concatenation_is_a_layer_with_relu() -> None:
    concatenation = build_mixing("concat", 3)
    torch.manual_seed(0)
    with torch.no_grad():
        concatenation.project.weight.normal_()
    both_BE = torch.cat([VISUAL_BD, SEMANTIC_BD], 1)
    expected = (both_BE @ concatenation.project.weight.T).clamp(min=0)
    torch.testing.assert_close(concatenation(VISUAL_BD, SEMANTIC_BD), expected)
