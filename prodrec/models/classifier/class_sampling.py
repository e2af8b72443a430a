"""The sampled classes of a training step (An et al. 2021, "Partial FC").

Shapes: A rows of all ranks, N classes of this rank, S active ones among them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sample_classes(labels_A: Tensor, classes: int, share: float, *, first_class: int = 0) -> Tensor:
    """Return the active classes of this rank, ascending: those of the labels and a random share of the others.

    labels_A:    labels over the classes of all ranks
    classes:     N
    first_class: index of the first class of this rank
    """
    is_active_N = torch.rand(classes, device=labels_A.device) < share
    local_A = labels_A - first_class
    is_active_N[local_A[(local_A >= 0) & (local_A < classes)]] = True
    return is_active_N.nonzero().squeeze(1)
