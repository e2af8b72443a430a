"""The initial weights of a classifier. They do not depend on the number of ranks that share it.

Shapes: N classes of this rank, n some of them, D features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CLASSES_PER_SEED = 8192
"""Classes whose initial weights come from one generator. Another value gives other weights for every seed."""


def draw_initial_weights(weight_ND: Tensor, local: slice, classes: int) -> None:
    """Draw the weights of this rank's classes from U(−1/√D, 1/√D), in place. Tensors without memory stay as they are.

    Every CLASSES_PER_SEED classes have their own generator, so the weights of a class do not depend on its rank.

    local:   the classes of this rank
    classes: number of classes of all ranks
    """
    if weight_ND.is_meta:
        return
    seed, bound = int(torch.randint(2**62, ())), 1 / math.sqrt(weight_ND.shape[1])
    for number in range(local.start // CLASSES_PER_SEED, -(-local.stop // CLASSES_PER_SEED)):
        generator = torch.Generator().manual_seed(seed + number)
        first, last = number * CLASSES_PER_SEED, min((number + 1) * CLASSES_PER_SEED, classes)
        start, stop = max(first, local.start), min(last, local.stop)
        local_nD = weight_ND[start - local.start : stop - local.start]
        if (start, stop) == (first, last):
            local_nD.uniform_(-bound, bound, generator=generator)
            continue
        drawn_nD = torch.empty(last - first, weight_ND.shape[1]).uniform_(-bound, bound, generator=generator)
        local_nD.copy_(drawn_nD[start - first : stop - first])
