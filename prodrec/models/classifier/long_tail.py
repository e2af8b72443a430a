"""Losses for classes with few training images: class weights, focal loss and margins by the number of images.

n_c is the number of training images of class c, and at least 1; β, γ and m are settings.

    class weights   effective      w_c ∝ (1 − β) / (1 − β^n_c)   Cui et al. 2019, "Class-balanced loss based on
                                                                 effective number of samples", eq. 2
                    inverse        w_c ∝ 1 / n_c
                    sqrt-inverse   w_c ∝ 1 / √n_c                Mahajan et al. 2018, "Exploring the limits of weakly
                                                                 supervised pretraining", §2.2
    focal loss      FL_i = (1 − p_i)^γ · CE_i                    Lin et al. 2017, "Focal loss for dense object
                                                                 detection", eq. 4
    LDAM            Δ_c = m · n_c^(−1/4) / max_c' n_c'^(−1/4)    Cao et al. 2019, "Learning imbalanced datasets with
                                                                 label-distribution-aware margin loss", eq. 11, §3.2

Class weights sum to the number of classes that have training images (Cui et al. §4). The weight of a row is multiplied
by that of its label. DRW (Cao et al. §3.3) is class weights that begin after a share of the training.

p_i is the softmax probability of the label of row i, and CE_i = −log p_i. Only p_i matters, so ∂FL_i/∂z is
∂CE_i/∂z times a factor of the row:

    f_i = (1 − p_i)^γ · (1 + γ · p_i · CE_i / (1 − p_i))

Shapes: A rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ClassWeights = Literal["none", "effective", "inverse", "sqrt-inverse"]


@dataclass(frozen=True)
class LongTailLoss:
    """The settings of these losses; with the defaults, the loss is the plain cross-entropy.

    class_weights_from: share of the training from which class weights apply
    focal_gamma:        γ
    ldam_margin:        m, the largest margin of a cosine
    """

    class_weights: ClassWeights = "none"
    class_weights_beta: float = 0.999
    class_weights_from: float = 0.0
    focal_gamma: float = 0.0
    ldam_margin: float = 0.0

    @property
    def needs_train_images(self) -> bool:
        """Whether the loss depends on the numbers of training images."""
        return self.class_weights != "none" or self.ldam_margin > 0

    def weights_of_classes(self, train_images_C: Tensor) -> Tensor | None:
        """Return w of every class, float64; None without class weights."""
        n_C = train_images_C.to(torch.float64).clamp(min=1)
        if self.class_weights == "none":
            return None
        if self.class_weights == "effective":
            weights_C = (1 - self.class_weights_beta) / (1 - self.class_weights_beta**n_C)
        else:
            weights_C = n_C ** (-1.0 if self.class_weights == "inverse" else -0.5)
        return weights_C / weights_C[_has_images(train_images_C)].mean()

    def margins_of_classes(self, train_images_C: Tensor) -> Tensor | None:
        """Return Δ of every class, float64; None without margins."""
        if not self.ldam_margin:
            return None
        margins_C = train_images_C.to(torch.float64).clamp(min=1) ** -0.25
        return self.ldam_margin * margins_C / margins_C[_has_images(train_images_C)].max()


def _has_images(train_images_C: Tensor) -> Tensor:
    """Return which classes have training images; all of them if none has any."""
    has_images_C = train_images_C > 0
    return has_images_C if has_images_C.any() else ~has_images_C


def focal_weights(log_p_A: Tensor, gamma: float) -> Tensor:
    """Return (1 − p)^γ of every row, from log p of its label."""
    result: Tensor = (-torch.expm1(log_p_A)) ** gamma
    return result


def focal_gradient_factors(log_p_A: Tensor, gamma: float) -> Tensor:
    """Return f of every row, from log p of its label; finite for p = 1 too, where −log p / (1 − p) is 1."""
    miss_A = -torch.expm1(log_p_A)
    ratio_A = torch.where(miss_A > 0, -log_p_A / miss_A, 1)
    result: Tensor = miss_A**gamma * (1 + gamma * log_p_A.exp() * ratio_A)
    return result
