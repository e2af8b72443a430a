"""Soft labels by distance in the tree: targets equal a plain loop, and training equals cross-entropy with autograd.

Shapes: A, B rows, D features, C classes, L levels.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from prodrec.models.classifier.classifier import Classifier
from prodrec.models.classifier.long_tail import LongTailLoss
from prodrec.models.classifier.tree_smoothing import TreeSmoothing

from .conftest import EXACT, IMAGES_C, B, C, D, draw_batches, train, train_plainly

pytestmark = pytest.mark.usefixtures("small_chunks")

SMALL_TREE_CL = np.array([[0, 0, 0], [0, 1, 1], [1, 2, 2], [0, 0, 3], [1, 2, 4], [1, 3, 5], [0, 0, 6]], np.int32)


def drawn_tree(classes: int, *, levels: int) -> NDArray[np.int32]:
    """Return the ancestors [C, L] of a random tree, whose classes are in no order of their parents."""
    generator = np.random.default_rng(levels)
    columns = [np.arange(classes)]
    for depth in range(levels - 1):
        parents = generator.integers(4 ** (levels - 1 - depth), size=int(columns[0].max()) + 1)
        columns.insert(0, parents[columns[0]])
    return np.stack(columns, axis=1).astype(np.int32)


def plain_targets(ancestors_CL: NDArray[np.int32], beta: float) -> Tensor:
    """Return q by a loop over all pairs of classes, float64 C×C: row y has the targets of the label y."""
    classes, levels = ancestors_CL.shape
    target_CC = torch.empty(classes, classes, dtype=torch.float64)
    for label in range(classes):
        for other in range(classes):
            height = 0
            while height < levels and ancestors_CL[label, levels - 1 - height] != ancestors_CL[other, -1 - height]:
                height += 1
            target_CC[label, other] = math.exp(-beta * height / levels)
    return target_CC / target_CC.sum(1, keepdim=True)


def all_targets(ancestors_CL: NDArray[np.int32], beta: float) -> Tensor:
    """Return the targets of every class as label, from chunks."""
    label_C = torch.arange(len(ancestors_CL))
    targets = TreeSmoothing(ancestors_CL, beta).targets(label_C, slice(None), torch.float64)
    middle = len(label_C) // 2
    chunks_ = [targets.of_chunk(slice(0, middle)), targets.of_chunk(torch.arange(middle, len(label_C)))]
    target_CC = torch.cat(chunks_, 1)
    torch.testing.assert_close(target_CC.diagonal(), targets.sibling_target_A, **EXACT)
    target_CC.diagonal().copy_(targets.label_target_A)
    return target_CC


@pytest.mark.parametrize("beta", [0.5, 4.0, 30.0])
@pytest.mark.parametrize(
    "ancestors_CL", [SMALL_TREE_CL, drawn_tree(40, levels=2), drawn_tree(60, levels=4), np.zeros((1, 2), np.int32)]
)
def test_targets_equal_a_loop_over_pairs(ancestors_CL: NDArray[np.int32], beta: float) -> None:
    target_CC = all_targets(ancestors_CL, beta)
    torch.testing.assert_close(target_CC, plain_targets(ancestors_CL, beta), **EXACT)
    torch.testing.assert_close(target_CC.sum(1), torch.ones(len(ancestors_CL), dtype=torch.float64), **EXACT)


def test_targets_of_a_small_tree() -> None:
    near, cousin, far = (math.exp(-6 * height / 3) for height in (1, 2, 3))
    expected = torch.tensor([1, cousin, far, near, far, far, near], dtype=torch.float64)
    torch.testing.assert_close(all_targets(SMALL_TREE_CL, 6.0)[0], expected / expected.sum(), **EXACT)


@functools.cache
def plain_targets_of_drawn_tree(levels: int, beta: float) -> Tensor:
    """Return `plain_targets` of a drawn tree of C classes, whose loop takes long."""
    return plain_targets(drawn_tree(C, levels=levels), beta)


@dataclass(frozen=True)
class Case:
    levels: int = 4
    beta: float = 5.0
    long_tail: LongTailLoss = field(default_factory=LongTailLoss)
    scale: float | None = None
    adjustment: float = 0.0

    def targets(self) -> Tensor:
        return plain_targets_of_drawn_tree(self.levels, self.beta)


CASES = {
    "four levels": Case(),
    "two levels, adjusted": Case(levels=2, beta=12.0, adjustment=0.7),
    "weighted": Case(levels=3, long_tail=LongTailLoss(class_weights="effective", class_weights_beta=0.9)),
    "cosine with margins": Case(levels=3, long_tail=LongTailLoss(ldam_margin=0.5), scale=10.0),
}


def make(case: Case, *, buffer_gib: float = 1.0) -> Classifier:
    torch.manual_seed(3)
    return Classifier(
        D,
        C,
        long_tail=case.long_tail,
        cosine_scale=case.scale,
        logit_adjustment=case.adjustment,
        train_images_C=IMAGES_C,
        tree_smoothing=TreeSmoothing(drawn_tree(C, levels=case.levels), case.beta),
        buffer_gib=buffer_gib,
    ).double()


def plain_losses(
    case: Case, features_BD: Tensor, labels_B: Tensor, weight_CD: Tensor, bias_C: Tensor, log_scale: Tensor
) -> Tensor:
    """Return the cross-entropy with soft targets of every row."""
    scores_BC = features_BD @ weight_CD.T + bias_C
    if case.scale is not None:
        scores_BC = log_scale.exp() * F.normalize(features_BD) @ F.normalize(weight_CD).T
    n_C = IMAGES_C.double().clamp(min=1)
    scores_BC = scores_BC + case.adjustment * (n_C / n_C.sum()).log().float().double()  # constants are in float32
    if case.long_tail.ldam_margin:
        margins_C = (case.long_tail.ldam_margin * n_C**-0.25).float().double()
        scores_BC = scores_BC - log_scale.exp() * margins_C * F.one_hot(labels_B, C)
    return F.cross_entropy(scores_BC, case.targets()[labels_B], reduction="none")


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("buffer_gib", [1.0, 0.0])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_training_equals_cross_entropy_with_soft_targets(case: Case, buffer_gib: float, fused: bool) -> None:
    class_weights_C = case.long_tail.weights_of_classes(IMAGES_C)

    def cross_entropy(
        features_BD: Tensor, labels_B: Tensor, weights_B: Tensor, weight_CD: Tensor, bias_C: Tensor, log_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        losses_B = plain_losses(case, features_BD, labels_B, weight_CD, bias_C, log_scale)
        if class_weights_C is not None:
            weights_B = weights_B * class_weights_C.float().double()[labels_B]
        return (weights_B * losses_B).sum(), losses_B

    expected = train_plainly(make(case), cross_entropy)
    steps = train(make(case, buffer_gib=buffer_gib), fused=fused)
    torch.testing.assert_close(vars(steps), vars(expected), **EXACT)


@pytest.mark.parametrize("buffer_gib", [1.0, 0.0])
def test_rows_of_weight_0_add_nothing(buffer_gib: float) -> None:
    features_BD, labels_B, _ = draw_batches()[0]
    model = make(CASES["four levels"], buffer_gib=buffer_gib)
    total, _ = model.loss(features_BD, labels_B, weights_B=torch.zeros(B, dtype=torch.float64))
    total.backward()
    assert total.item() == 0 and model.weight.grad is not None and model.bias.grad is not None
    assert not model.weight.grad.any() and not model.bias.grad.any()
    assert features_BD.grad is not None and not features_BD.grad.any()


def test_a_large_beta_is_the_plain_cross_entropy() -> None:
    features_BD, labels_B, _ = draw_batches()[0]
    model = make(Case(beta=1e5))
    expected = F.cross_entropy(features_BD @ model.weight.T + model.bias, labels_B)
    torch.testing.assert_close(model.loss(features_BD, labels_B)[0], expected, rtol=1e-12, atol=0)
    assert set(model.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("buffer_gib", [1.0, 0.0])
def test_bf16_is_close_to_float32(buffer_gib: float) -> None:
    case = CASES["four levels"]
    exact, half = make(case).float(), make(case, buffer_gib=buffer_gib).float()
    features_BD, labels_B, _ = draw_batches()[0]
    exact_total, _ = exact.loss(features_BD.detach().float(), labels_B)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = half.loss(features_BD.detach().bfloat16(), labels_B)
    exact_total.backward()
    total.backward()
    torch.testing.assert_close(total, exact_total, rtol=5e-3, atol=0)
    assert half.weight.grad is not None and exact.weight.grad is not None
    assert (half.weight.grad - exact.weight.grad).norm() / exact.weight.grad.norm() < 2e-2
