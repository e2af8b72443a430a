"""Training steps that tests of losses share: by a classifier, and by a plain implementation with autograd.

Shapes: B rows, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from prodrec.models.classifier import chunks
from prodrec.models.classifier.classifier import Classifier

B, D, C = 12, 8, 300
STEPS = 3
IMAGES_C = torch.arange(C) % 37
EXACT = {"rtol": 1e-11, "atol": 1e-12}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of classes, also for C classes."""
    monkeypatch.setattr(chunks, "MAX_CHUNK_WEIGHTS_CPU", 64 * D)


@dataclass
class Steps:
    """The losses, the losses of the rows and the gradients of the features of every step, and the parameters at last.

    The parameters are weight, bias and log_scale, which is 0 without a scale.
    """

    losses: list[Tensor] = field(default_factory=list)
    row_losses: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    parameters: list[Tensor] = field(default_factory=list)

    def add(self, loss: Tensor, losses_B: Tensor, features_BD: Tensor) -> None:
        assert features_BD.grad is not None
        self.losses.append(loss.detach())
        self.row_losses.append(losses_B.detach())
        self.gradients.append(features_BD.grad)


def draw_batches() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return features with gradients, labels and row weights of every step; one weight is 0."""
    generator = torch.Generator().manual_seed(5)
    batches = []
    for _ in range(STEPS):
        features_BD = torch.randn(B, D, dtype=torch.float64, generator=generator).requires_grad_()
        labels_B = torch.randint(C, (B,), generator=generator)
        weights_B = torch.rand(B, dtype=torch.float64, generator=generator)
        weights_B[1] = 0
        batches.append((features_BD, labels_B, weights_B))
    return batches


def make_optimizer(parameters: list[Tensor]) -> torch.optim.SGD:
    groups = [{"params": [p], "weight_decay": 0.01 if p.ndim > 1 else 0.0} for p in parameters if p.requires_grad]
    return torch.optim.SGD(groups, lr=0.3, momentum=0.9)


def train(model: Classifier, *, fused: bool, label_smoothing: float = 0.0) -> Steps:
    """Return the steps of the classifier's own loss, with its update in backward if it is fused."""
    optimizer = make_optimizer(list(model.parameters()))
    if fused:
        model.update_in_backward(optimizer)
    steps = Steps()
    for features_BD, labels_B, weights_B in draw_batches():
        optimizer.zero_grad()
        loss, losses_B = model.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=label_smoothing)
        loss.backward()
        optimizer.step()
        assert features_BD.grad is not None and not features_BD.grad[1].any(), "a row of weight 0 has no gradient"
        steps.add(loss, losses_B, features_BD)
    assert (model.weight.grad is None) == fused
    steps.parameters = [model.weight.detach(), model.bias.detach(), log_scale_of(model)]
    return steps


PlainLoss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""The loss and the losses of the rows, from features, labels, row weights, weight, bias and log_scale."""


def train_plainly(model: Classifier, plain_loss: PlainLoss) -> Steps:
    """Return the steps of `plain_loss` from the start of `model`, by autograd."""
    weight_CD, bias_C = model.weight.detach().clone().requires_grad_(), model.bias.detach().clone()
    log_scale = log_scale_of(model).clone()
    bias_C.requires_grad_(model.log_scale is None)
    log_scale.requires_grad_(model.log_scale is not None)
    optimizer = make_optimizer([weight_CD, bias_C, log_scale])
    steps = Steps()
    for features_BD, labels_B, weights_B in draw_batches():
        optimizer.zero_grad()
        loss, losses_B = plain_loss(features_BD, labels_B, weights_B, weight_CD, bias_C, log_scale)
        loss.backward()
        optimizer.step()
        steps.add(loss, losses_B, features_BD)
    steps.parameters = [weight_CD.detach(), bias_C.detach(), log_scale.detach()]
    return steps


def log_scale_of(model: Classifier) -> Tensor:
    return torch.tensor(0.0, dtype=torch.float64) if model.log_scale is None else model.log_scale.detach()
