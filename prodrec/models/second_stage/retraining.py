"""crt and lws: train a classifier, or the scales of its weights, on photos that are drawn class by class.

Kang et al. 2020 ("Decoupling representation and classifier for long-tailed recognition"), §4. The paper trains for 10
epochs of SGD with a cosine schedule. AdamW, its learning rates, and features of unit variance for crt are our choice:
features of backbones differ a hundredfold in scale, and a rate of SGD that fits one diverges on another.

Shapes: N photos, B draws, D features, C classes, n of this rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prodrec.core.base import console, dist
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage.features import FrozenFeatures
from prodrec.models.second_stage.row_scales import RowScales
from prodrec.models.second_stage.sampling import ClassBalancedSampler

DRAWS = 256
"""Draws of a step, over all ranks."""
ROWS_AT_ONCE = 8192
CRT_LR, LWS_LR = 1e-3, 1e-2
CRT_WEIGHT_DECAY = 0.05
"""The scales of lws have no weight decay, which would pull them to 0."""
SMALLEST_DEVIATION = 1e-3
"""Smallest standard deviation of a feature, as a share of the largest; smaller ones are noise, or a dead ReLU."""
Autocast = Callable[[], AbstractContextManager[Any]]


def fit_crt(
    classifier: Classifier, features: FrozenFeatures, *, epochs: float, lr: float | None, seed: int, autocast: Autocast
) -> dict[str, Any]:
    """Train `classifier`, which is initialised anew, and return the loss of the last tenth of the steps.

    The features are scaled to mean 0 and variance 1; afterwards the scaling becomes part of W and b:

        W (x − m) / s + b = (W / s) x + b − (W / s) m

    epochs: passes over as many draws as there are photos. All ranks must call this.
    """
    mean_D, deviation_D = _mean_and_deviation(features, classifier.weight.device)
    groups = [
        {"params": [classifier.weight], "weight_decay": CRT_WEIGHT_DECAY},
        {"params": [classifier.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr or CRT_LR, fused=True)
    classifier.update_in_backward(optimizer)
    loss = _train(
        classifier,
        optimizer,
        features,
        lambda x_BD: (x_BD - mean_D) / deviation_D,
        epochs=epochs,
        seed=seed,
        autocast=autocast,
    )
    with torch.no_grad():
        classifier.weight.div_(deviation_D)
        classifier.bias.sub_(classifier.weight @ mean_D)
    return {"loss": loss}


def fit_lws(
    classifier: Classifier,
    frozen_ND: Tensor,
    features: FrozenFeatures,
    *,
    epochs: float,
    lr: float | None,
    seed: int,
    autocast: Autocast,
) -> dict[str, Any]:
    """Train the scales f of the weights f_c v_c of `classifier`, and return the loss of the last tenth of the steps.

    frozen_ND: v, this rank's weights of the trained network. f starts as 1; the bias is 0, since the paper discards it

    All ranks must call this.
    """
    with torch.no_grad():
        classifier.weight.copy_(frozen_ND)
        classifier.bias.zero_()
    classifier.bias.requires_grad_(False)
    scale_N = nn.Parameter(torch.ones_like(classifier.bias))
    optimizer = torch.optim.AdamW([scale_N], lr=lr or LWS_LR, weight_decay=0.0, fused=True)
    classifier.update_rows_by(RowScales(optimizer, scale_N, weight_ND=classifier.weight, frozen_ND=frozen_ND))
    loss = _train(classifier, optimizer, features, lambda x_BD: x_BD, epochs=epochs, seed=seed, autocast=autocast)
    return {"loss": loss}


def _train(
    classifier: Classifier,
    optimizer: torch.optim.Optimizer,
    features: FrozenFeatures,
    scale: Callable[[Tensor], Tensor],
    *,
    epochs: float,
    seed: int,
    autocast: Autocast,
) -> float:
    """Train with a learning rate that falls to 0 along a cosine, and return the mean loss of the last tenth."""
    steps = max(1, math.ceil(epochs * len(features) / DRAWS))
    sampler = ClassBalancedSampler(features.class_N, views=features.views, seed=seed)
    rates = [group["lr"] for group in optimizer.param_groups]
    own, device = dist.shard_slice(DRAWS), classifier.weight.device
    losses = []
    classifier.train()
    with console.progress("second stage", total=steps, unit="steps") as advance:
        for step in range(steps):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
            rows_B, views_B = (values[own] for values in sampler.draw(step, DRAWS))
            x_BD = scale(features.read(rows_B, views_B, device))
            labels_B = torch.from_numpy(features.class_N[rows_B]).to(device)
            with autocast():
                loss, _ = classifier.loss(x_BD, labels_B, weights_B=torch.full_like(x_BD[:, 0], 1 / DRAWS))
            loss.backward()  # type: ignore[no-untyped-call]  # updates the classifier
            losses.append(loss.detach())
            advance()
    classifier.eval()
    last = torch.stack(losses[-max(1, steps // 10) :]).mean()
    return float(dist.all_reduce_sum(last))


def _mean_and_deviation(features: FrozenFeatures, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the features of all photos, float32 [D] both."""
    own = np.arange(len(features))[dist.shard_slice(len(features))]
    sums_2D = torch.zeros((2, features.width), dtype=torch.float64, device=device)
    for start in range(0, len(own), ROWS_AT_ONCE):
        x_nD = features.read_all_views(own[start : start + ROWS_AT_ONCE], device)[0].double()
        sums_2D += torch.stack([x_nD.sum(0), (x_nD**2).sum(0)])
    mean_D, square_D = dist.all_reduce_sum(sums_2D) / (len(features) * features.views)
    deviation_D = (square_D - mean_D**2).clamp(min=0).sqrt()
    largest = deviation_D.max().clamp(min=torch.finfo(torch.float32).tiny)
    deviation_D = torch.where(deviation_D < SMALLEST_DEVIATION * largest, largest, deviation_D)
    return mean_D.float(), deviation_D.float()
