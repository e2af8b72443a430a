"""Every way to compute the loss of a classifier against torch's linear, cross_entropy and optimizers.

Shapes: B rows, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.models.classifier import chunks, initial_weights
from prodrec.models.classifier.class_sampling import sample_classes
from prodrec.models.classifier.classifier import Classifier

B, D, C = 12, 8, 700
STEPS = 4
EXACT = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven chunks, the last one smaller."""
    monkeypatch.setattr(chunks, "MAX_CHUNK_WEIGHTS_CPU", 64 * D)
    monkeypatch.setattr(initial_weights, "CLASSES_PER_SEED", 100)


@dataclass
class Trained:
    losses: list[float]
    weight_CD: Tensor
    bias_C: Tensor
    momentum_CD: Tensor
    first_gradient_BD: Tensor


def batches() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return features with gradients, labels and row weights of every step; labels repeat and one weight is 0."""
    generator = torch.Generator().manual_seed(5)
    steps = []
    for _ in range(STEPS):
        features_BD = torch.randn(B, D, dtype=torch.float64, generator=generator).requires_grad_()
        labels_B = torch.randint(C, (B,), generator=generator)
        labels_B[:3] = labels_B[3]
        weights_B = torch.rand(B, dtype=torch.float64, generator=generator)
        weights_B[1] = 0
        steps.append((features_BD, labels_B, weights_B))
    return steps


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def train(weight_CD: Tensor, bias_C: Tensor, compute_loss: Loss, optimizer: torch.optim.SGD) -> Trained:
    losses, gradients = [], []
    for features_BD, labels_B, weights_B in batches():
        optimizer.zero_grad()
        total = compute_loss(features_BD, labels_B, weights_B)
        total.backward()
        optimizer.step()
        losses.append(total.item())
        assert features_BD.grad is not None
        gradients.append(features_BD.grad)
    momentum_CD = optimizer.state[weight_CD]["momentum_buffer"]
    return Trained(losses, weight_CD.detach(), bias_C.detach(), momentum_CD, gradients[0])


def sgd(weight_CD: Tensor, bias_C: Tensor) -> torch.optim.SGD:
    groups = [{"params": [weight_CD], "weight_decay": 0.01}, {"params": [bias_C], "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.5, momentum=0.9)


def train_reference(model: Classifier, *, smoothing: float, adjustment_C: Tensor | float = 0.0) -> Trained:
    """Train a copy of the model's weights with torch's linear and cross_entropy."""
    weight_CD, bias_C = (p.detach().clone().requires_grad_() for p in (model.weight, model.bias))

    def loss(features_BD: Tensor, labels_B: Tensor, weights_B: Tensor) -> Tensor:
        scores_BC = F.linear(features_BD, weight_CD, bias_C) + adjustment_C
        each_B = F.cross_entropy(scores_BC, labels_B, label_smoothing=smoothing, reduction="none")
        return (weights_B * each_B).sum()

    return train(weight_CD, bias_C, loss, sgd(weight_CD, bias_C))


def train_classifier(model: Classifier, *, smoothing: float, fused: bool) -> Trained:
    optimizer = sgd(model.weight, model.bias)
    if fused:
        model.update_in_backward(optimizer)

    def loss(features_BD: Tensor, labels_B: Tensor, weights_B: Tensor) -> Tensor:
        total, _ = model.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=smoothing)
        return total

    trained = train(model.weight, model.bias, loss, optimizer)
    assert (model.weight.grad is None) == fused, "a weight that is updated in the backward pass gets no gradient"
    return trained


IMAGES_C = torch.arange(C) % 37


def make(**options: Any) -> Classifier:
    torch.manual_seed(3)
    return Classifier(D, C, train_images_C=IMAGES_C, **options).double()


def adjustment() -> Tensor:
    """Return τ·log π of the classes for τ = 0.7."""
    images_C = IMAGES_C.double().clamp(min=1)
    return 0.7 * (images_C / images_C.sum()).log().float().double()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("buffer_gib", [1.0, 0.0])
@pytest.mark.parametrize(("smoothing", "adjusted"), [(0.0, False), (0.2, True)])
def test_training_equals_linear_and_cross_entropy(
    fused: bool, buffer_gib: float, smoothing: float, adjusted: bool
) -> None:
    model = make(buffer_gib=buffer_gib, logit_adjustment=0.7 if adjusted else 0.0)
    expected = train_reference(model, smoothing=smoothing, adjustment_C=adjustment() if adjusted else 0.0)
    trained = train_classifier(model, smoothing=smoothing, fused=fused)
    torch.testing.assert_close(vars(trained), vars(expected), **EXACT)


def test_fused_and_unfused_are_bit_equal_in_float32() -> None:
    def run(fused: bool) -> Tensor:
        model = make().float()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01, fused=True)
        if fused:
            model.update_in_backward(optimizer)
        for features_BD, labels_B, _ in batches():
            optimizer.zero_grad()
            model.loss(features_BD.detach().float(), labels_B)[0].backward()
            optimizer.step()
        return model.weight.detach()

    assert torch.equal(run(True), run(False))


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    features_BD, labels_B, weights_B = batches()[0]
    gradients = []
    for threads in (1, 3):
        torch.set_num_threads(threads)  # the fixture for all tests of models restores it
        model = make()
        model.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=0.1)[0].backward()
        gradients.append((model.weight.grad, torch.autograd.grad(model.loss(features_BD, labels_B)[0], features_BD)[0]))
    for gradient, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected, **EXACT)


def test_fused_adamw_equals_torchs_own() -> None:
    def run(fused: bool) -> list[Tensor]:
        model = make()
        groups = [{"params": [model.weight], "weight_decay": 0.1}, {"params": [model.bias], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=0.05, betas=(0.8, 0.99))
        if fused:
            model.update_in_backward(optimizer)
        for features_BD, labels_B, _ in batches():
            optimizer.zero_grad()
            model.loss(features_BD.detach(), labels_B)[0].backward()
            optimizer.step()
        assert (model.weight.grad is None) == fused
        state = optimizer.state[model.weight]
        return [model.weight.detach(), model.bias.detach(), state["exp_avg"], state["exp_avg_sq"], state["step"]]

    for fused, expected in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(fused, expected, **EXACT)


@pytest.mark.parametrize("buffer_gib", [1.0, 0.0])
def test_bf16_is_close_to_float32(buffer_gib: float) -> None:
    features_BD, labels_B, _ = batches()[0]
    exact, half = make().float(), make(buffer_gib=buffer_gib).float()
    exact_total, _ = exact.loss(features_BD.detach().float(), labels_B)
    exact_total.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = half.loss(features_BD.detach().float(), labels_B)
    total.backward()
    assert total.dtype == half.weight.grad.dtype == torch.float32
    torch.testing.assert_close(total, exact_total, rtol=2e-3, atol=0)
    error = (half.weight.grad - exact.weight.grad).norm() / exact.weight.grad.norm()
    assert error < 5e-3


def test_backward_can_run_twice() -> None:
    features_BD, labels_B, _ = batches()[0]
    total, _ = make().loss(features_BD, labels_B)
    once, again = (torch.autograd.grad(total, features_BD, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(once, again, **EXACT)


def test_weights_that_change_between_forward_and_backward_are_an_error() -> None:
    features_BD, labels_B, _ = batches()[0]
    model = make()
    model.update_in_backward(sgd(model.weight, model.bias))
    totals = [model.loss(features_BD, labels_B)[0] for _ in range(2)]
    totals[0].backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        totals[1].backward()


class TestSampled:
    SHARE = 0.3

    def next_sample(self, model: Classifier, labels_B: Tensor) -> Tensor:
        """Return the classes that the next loss will sample."""
        state = torch.get_rng_state()
        active_S = sample_classes(labels_B, C, self.SHARE)
        torch.set_rng_state(state)
        return active_S

    def test_the_loss_is_taken_over_the_sampled_classes(self) -> None:
        model = make(sample_share=self.SHARE)
        features_BD, labels_B, weights_B = batches()[0]
        active_S = self.next_sample(model, labels_B)
        assert set(labels_B.tolist()) <= set(active_S.tolist())
        assert 0.15 * C < len(active_S) < 0.45 * C
        loss, _ = model.loss(features_BD, labels_B, weights_B=weights_B, label_smoothing=0.2)
        scores_BS = F.linear(features_BD, model.weight[active_S], model.bias[active_S])
        target_B = torch.searchsorted(active_S, labels_B)
        each_B = F.cross_entropy(scores_BS, target_B, label_smoothing=0.2, reduction="none")
        torch.testing.assert_close(loss, (weights_B * each_B).sum(), **EXACT)

    def test_bf16_gives_sampled_classes_a_gradient(self) -> None:
        model = make(sample_share=self.SHARE).float()
        features_BD, labels_B, _ = batches()[0]
        active_S = self.next_sample(model, labels_B)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = model.loss(features_BD.detach().float(), labels_B)
        loss.backward()
        weight_SD = model.weight.detach()[active_S].requires_grad_()
        scores_BS = F.linear(features_BD.detach().float(), weight_SD, model.bias.detach()[active_S])
        F.cross_entropy(scores_BS, torch.searchsorted(active_S, labels_B)).backward()
        assert (model.weight.grad[active_S] - weight_SD.grad).norm() / weight_SD.grad.norm() < 5e-3
        assert model.weight.grad.any(1).nonzero().squeeze(1).tolist() == active_S.tolist()

    def test_only_sampled_classes_are_updated(self) -> None:
        model = make(sample_share=self.SHARE)
        optimizer = sgd(model.weight, model.bias)
        model.update_in_backward(optimizer)
        expected_CD, momentum_CD = model.weight.detach().clone(), torch.zeros_like(model.weight)
        for features_BD, labels_B, _ in batches():
            active_S = self.next_sample(model, labels_B)
            weight_SD = model.weight.detach()[active_S].requires_grad_()
            scores_BS = F.linear(features_BD.detach(), weight_SD, model.bias.detach()[active_S])
            F.cross_entropy(scores_BS, torch.searchsorted(active_S, labels_B)).backward()
            momentum_CD[active_S] = 0.9 * momentum_CD[active_S] + weight_SD.grad + 0.01 * expected_CD[active_S]
            expected_CD[active_S] -= 0.5 * momentum_CD[active_S]
            optimizer.zero_grad()
            model.loss(features_BD, labels_B)[0].backward()
            optimizer.step()
        torch.testing.assert_close(model.weight.detach(), expected_CD, **EXACT)
        torch.testing.assert_close(optimizer.state[model.weight]["momentum_buffer"], momentum_CD, **EXACT)

    def test_adamw_updates_only_sampled_classes(self) -> None:
        model = make(sample_share=self.SHARE)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
        model.update_in_backward(optimizer)
        for features_BD, labels_B, _ in batches():
            active_S, before_CD = self.next_sample(model, labels_B), model.weight.detach().clone()
            model.loss(features_BD, labels_B)[0].backward()
            moved = (model.weight.detach() != before_CD).any(1).nonzero().squeeze(1)
            assert torch.equal(moved, active_S)

    def test_evaluation_uses_all_classes(self) -> None:
        model = make(sample_share=self.SHARE).eval()
        features_BD, labels_B, _ = batches()[0]
        expected = F.cross_entropy(model.scores(features_BD), labels_B)
        torch.testing.assert_close(model.loss(features_BD, labels_B)[0], expected, **EXACT)


def test_the_plan_describes_the_computation() -> None:
    for model, expected in ((make(sample_share=0.25), 512 * 175 * 2), (make(buffer_gib=0.0), 0)):
        assert model.buffer_bytes(512, torch.bfloat16) == expected
    text = make(sample_share=0.25, buffer_gib=0.0).describe(512, torch.bfloat16)
    assert "700 classes x 8, dense, 25% of them sampled every step" in text and "computed twice" in text
