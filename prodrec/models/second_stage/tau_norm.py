"""tau-norm: divide the weights of a class by a power of their length (Kang et al. 2020, §4).

        w_c ← w_c / ||w_c||^τ

τ = 0 keeps the weights, and τ = 1 gives all classes the same length. As in the paper, the bias is discarded, and τ
is that with the best mean accuracy of the classes on validation photos. All weights are then multiplied by one
factor, which keeps the mean length: it changes no prediction, but keeps the scale of the scores.

Shapes: M validation photos, D features, C classes, N of this rank.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from prodrec.core.base import console, dist
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage.features import FrozenFeatures

TAUS = tuple(round(0.1 * step, 1) for step in range(11))
PAPER_TAU = 0.7
"""τ of Kang et al. on ImageNet-LT; used if no validation photo can choose one."""
ROWS_AT_ONCE = 1024


def fit_tau_norm(
    classifier: Classifier, frozen_ND: Tensor, validation: FrozenFeatures | None, *, tau: float | None
) -> dict[str, Any]:
    """Set the weights of `classifier`, and return τ, and the accuracy of each candidate if it was chosen.

    frozen_ND:  this rank's weights of the trained network
    validation: the photos on which τ is chosen; None takes PAPER_TAU
    tau:        τ, which is then not chosen

    All ranks must call this.
    """
    facts: dict[str, Any] = {}
    with torch.no_grad():
        classifier.bias.zero_()
        length_N = torch.linalg.vector_norm(frozen_ND, dim=1).double()
    if tau is None and validation is None:
        tau = PAPER_TAU
    if tau is None and validation is not None:
        accuracies = []
        with console.progress("tau", total=len(TAUS), unit="values") as advance:
            for candidate in TAUS:
                _set_weights(classifier, frozen_ND, length_N, candidate)
                accuracies.append(_mean_class_accuracy(classifier, validation))
                advance()
        tau = TAUS[int(np.argmax(accuracies))]  # of equal ones the smallest, which changes least
        facts = {
            "validation_macc": dict(zip(map(str, TAUS), accuracies, strict=True)),
            "validation_photos": len(validation),
        }
    assert tau is not None
    _set_weights(classifier, frozen_ND, length_N, tau)
    return {"tau": tau, **facts}


def _set_weights(classifier: Classifier, frozen_ND: Tensor, length_N: Tensor, tau: float) -> None:
    factor_N = torch.where(length_N > 0, length_N**-tau, 0)  # a class without weights keeps none
    before, after = dist.all_reduce_sum(torch.stack([length_N.sum(), (length_N * factor_N).sum()])).tolist()
    factor_N *= before / after if after else 1.0
    with torch.no_grad():
        torch.mul(frozen_ND, factor_N.to(frozen_ND.dtype).unsqueeze(1), out=classifier.weight)


def _mean_class_accuracy(classifier: Classifier, validation: FrozenFeatures) -> float:
    """Return the mean, over the classes with validation photos, of their share of correct photos."""
    device = classifier.weight.device
    hits_C = torch.zeros(classifier.classes, dtype=torch.int64)
    for start in range(0, len(validation), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(validation)))
        rows = rows[dist.shard_slice(len(rows))]
        x_BD, labels_B = validation.read_all_views(rows, device)
        best_B = classifier.top_k(x_BD, 1).classes_BK[:, 0]
        hits_C += torch.bincount(labels_B[best_B == labels_B].cpu(), minlength=classifier.classes)
    count_C = torch.bincount(torch.from_numpy(validation.class_N), minlength=classifier.classes)
    share_C = dist.all_reduce_sum(hits_C).double() / count_C
    return float(share_C[count_C > 0].mean())
