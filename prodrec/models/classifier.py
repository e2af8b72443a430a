"""The leaf classifier behind one interface, so that nothing else ever needs the scores of a whole training batch.

Today's one way of computing is `DenseClassifier`. Others (sharded by class over the ranks, sampled) keep the same three
calls: `loss` takes row weights because they must know in the forward pass how much every row counts.

Shapes: B rows, D features, C classes, K best.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseClassifier(nn.Module):
    """Scores = W x + b, all classes at once.

    logit_adjustment τ > 0 adds τ·log π_c to the scores inside the loss and nowhere else (Menon et al. 2021, "Long-tail
    learning via logit adjustment", eq. 10), π_c being the share of class c in training; a class without training images
    counts as one image. Needs `train_images_C` for training; scoring does not.
    """

    log_prior_C: Tensor | None

    def __init__(
        self, features: int, classes: int, *, logit_adjustment: float = 0.0, train_images_C: Tensor | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self.bias = nn.Parameter(torch.empty(classes))
        self.logit_adjustment = logit_adjustment
        log_prior_C = None
        if logit_adjustment and train_images_C is not None:
            images_C = train_images_C.to(torch.float64).clamp(min=1)
            log_prior_C = (images_C / images_C.sum()).log().float()
        self.register_buffer("log_prior_C", log_prior_C, persistent=False)
        bound = 1 / math.sqrt(features)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.bias)

    def loss(
        self, features_BD: Tensor, labels_B: Tensor, *, weights_B: Tensor | None = None, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Σ_i weights_i · CE_i (weights default to 1/B) and, detached, the CE_i of every row.

        The product follows autocast; softmax and sum are in float32 (float64 for float64 features).
        """
        scores_BC = at_least_float32(F.linear(features_BD, self.weight, self.bias))
        if self.logit_adjustment:
            assert self.log_prior_C is not None, "logit adjustment needs the training images of every class"
            scores_BC = scores_BC + self.logit_adjustment * self.log_prior_C
        loss_B = F.cross_entropy(scores_BC, labels_B, label_smoothing=label_smoothing, reduction="none")
        total = loss_B.mean() if weights_B is None else (weights_B * loss_B).sum()
        return total, loss_B.detach()

    def scores(self, features_BD: Tensor) -> Tensor:
        """Unnormalised scores B×C; in float32 also under autocast, where bfloat16 would make ties."""
        with torch.autocast(features_BD.device.type, enabled=False):
            return F.linear(at_least_float32(features_BD), self.weight, self.bias)

    def top_k(self, features_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k largest scores B×K, in decreasing order, and their classes B×K (int64)."""
        best = self.scores(features_BD).topk(k, dim=1)
        return best.values, best.indices


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32, others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
