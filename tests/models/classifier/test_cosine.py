from __future__ import annotations

import torch

from prodrec.models.classifier.cosine import gradient_before_unit, unit_length, unit_weights


def test_features_have_length_one_unless_they_have_no_direction() -> None:
    features_BD = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1e-9]], requires_grad=True)
    unit_BD = unit_length(features_BD)
    torch.testing.assert_close(unit_BD, torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, 0.0]]))
    unit_BD.sum().backward()
    assert features_BD.grad is not None and features_BD.grad[0].any() and not features_BD.grad[1:].any()


def test_the_gradient_of_weights_is_that_of_autograd() -> None:
    weight_nD, gradient_nD = torch.randn(2, 7, 5, dtype=torch.float64)
    weight_nD.requires_grad_()
    unit_nD = weight_nD / weight_nD.norm(dim=1, keepdim=True)
    (expected_nD,) = torch.autograd.grad((unit_nD * gradient_nD).sum(), weight_nD)
    own_nD, length_n = unit_weights(weight_nD.detach())
    torch.testing.assert_close(own_nD, unit_nD.detach())
    torch.testing.assert_close(gradient_before_unit(gradient_nD, own_nD, length_n), expected_nD)
