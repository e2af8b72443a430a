"""Class weights, margins and the factors of the focal loss against their formulas.

Shapes: A rows, C classes.
"""

from __future__ import annotations

import math

import pytest
import torch

from prodrec.models.classifier.long_tail import LongTailLoss, focal_gradient_factors, focal_weights

IMAGES = [900, 40, 7, 1, 0]
WITH_IMAGES = 4


@pytest.mark.parametrize("kind", ["effective", "inverse", "sqrt-inverse"])
def test_class_weights_sum_to_the_number_of_classes_with_images(kind: str) -> None:
    def weight(n: int) -> float:
        if kind == "effective":  # one over the effective number of samples, 1 + β + … + β^(n−1)
            return 1 / sum(0.99**power for power in range(n))
        return 1 / n if kind == "inverse" else 1 / math.sqrt(n)

    weights = [weight(max(n, 1)) for n in IMAGES]
    expected = [w * WITH_IMAGES / sum(weights[:WITH_IMAGES]) for w in weights]
    long_tail = LongTailLoss(class_weights=kind, class_weights_beta=0.99)  # type: ignore[arg-type]
    weights_C = long_tail.weights_of_classes(torch.tensor(IMAGES))
    assert weights_C is not None and weights_C.tolist() == pytest.approx(expected, rel=1e-12)
    assert weights_C[:WITH_IMAGES].sum().item() == pytest.approx(WITH_IMAGES)


def test_margins_grow_with_the_rarity_of_a_class() -> None:
    margins_C = LongTailLoss(ldam_margin=0.5).margins_of_classes(torch.tensor(IMAGES))
    assert margins_C is not None
    assert margins_C.tolist() == pytest.approx([0.5 * max(n, 1) ** -0.25 for n in IMAGES], rel=1e-12)
    no_single = LongTailLoss(ldam_margin=0.5).margins_of_classes(torch.tensor([16, 81]))
    assert no_single is not None and no_single.tolist() == pytest.approx([0.5, 0.5 * 2 / 3])


def test_a_plain_loss_has_neither_weights_nor_margins() -> None:
    plain = LongTailLoss()
    assert plain.weights_of_classes(torch.tensor(IMAGES)) is None
    assert plain.margins_of_classes(torch.tensor(IMAGES)) is None


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_factors_are_those_of_autograd(gamma: float) -> None:
    p_A = torch.tensor([1e-9, 0.01, 0.3, 0.9, 1 - 1e-6], dtype=torch.float64)
    cross_entropy_A = (-p_A.log()).requires_grad_()
    focal_A = (1 - (-cross_entropy_A).exp()) ** gamma * cross_entropy_A
    (expected_A,) = torch.autograd.grad(focal_A.sum(), cross_entropy_A)
    torch.testing.assert_close(focal_weights(p_A.log(), gamma), (1 - p_A) ** gamma, rtol=1e-9, atol=0)
    torch.testing.assert_close(focal_gradient_factors(p_A.log(), gamma), expected_A, rtol=1e-6, atol=1e-12)


def test_focal_factors_of_a_certain_label_are_zero() -> None:
    certain_A = torch.zeros(1)
    assert focal_weights(certain_A, 0.5).item() == 0 and focal_gradient_factors(certain_A, 0.5).item() == 0
