"""Soft labels by distance in the category tree: the nearer a class is to the label, the larger its target.

Bertinetto et al. 2020, "Making better mistakes: leveraging class hierarchies with deep networks", §3.2:

    q_c(y) = exp(−β · d(c, y)) / Σ_c' exp(−β · d(c', y))
    d(c, y) = height of the lowest common ancestor of c and y / height of the tree

A class has height 0 and its ancestor k levels above it height k. Above the first of L levels is a root of height L,
which all classes share. So d is 0 for the label itself, 1/L for classes with the same parent, …, and 1 for those that
share no ancestor with it.

All classes with the same distance have the same target. The target of a chunk of classes is therefore found by
comparing their ancestors with those of the labels, level by level, and nothing of the size rows × classes is stored.

Shapes: A rows, C classes, N of them on this rank, n of a chunk, L levels, U = L − 1 levels above the classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prodrec.models.classifier.chunks import RowIndex


@dataclass(frozen=True)
class TreeTargets:
    """The soft labels of the rows of a batch.

    ancestor_UN:      ancestors of the classes of this rank, shallowest level first
    ancestor_UA:      those of the labels
    target_LA:        target of the classes whose deepest common ancestor with the label is at each of the levels above
                      the classes; the first row is for the root, which all classes share
    label_target_A:   target q_y of the label itself
    """

    ancestor_UN: Tensor
    ancestor_UA: Tensor
    target_LA: Tensor
    label_target_A: Tensor

    @property
    def sibling_target_A(self) -> Tensor:
        """The target of the classes with the parent of the label, as `of_chunk` has it for the label too."""
        return self.target_LA[-1]

    def of_chunk(self, index: RowIndex) -> Tensor:
        """Return the targets of the classes `index` of this rank, A×n; that of the label is `sibling_target_A`."""
        ancestor_Un = self.ancestor_UN[:, index]
        target_An = self.target_LA[0].unsqueeze(1)
        for ancestor_n, ancestor_A, level_target_A in zip(
            ancestor_Un, self.ancestor_UA, self.target_LA[1:], strict=True
        ):
            is_shared_An = ancestor_A.unsqueeze(1) == ancestor_n
            target_An = torch.where(is_shared_An, level_target_A.unsqueeze(1), target_An)
        return target_An


class TreeSmoothing(nn.Module):
    """The soft labels of all classes of a level, as a table of their ancestors and of Σ_c' exp(−β · d(c', y)).

    ancestors_CL: ancestors of every class from the first level to its own, where a class is its own ancestor; at least
                  two levels
    beta:         β; the larger, the smaller the targets of other classes

    A state dict contains nothing of it.
    """

    ancestor_UC: Tensor
    sum_C: Tensor

    def __init__(self, ancestors_CL: NDArray[np.int32], beta: float) -> None:
        super().__init__()
        classes, levels = ancestors_CL.shape
        assert levels > 1, "a tree of one level has no distances"
        # shared[k]: number of classes that share the k-th of root, first level, …, last level with each class
        shared = [np.full(classes, classes)]
        shared += [np.bincount(ancestor_C)[ancestor_C] for ancestor_C in ancestors_CL.T]
        shared.append(np.zeros(classes, np.int64))
        self.factors = [float(np.exp(-beta * (levels - depth) / levels)) for depth in range(levels + 1)]
        sum_C = sum(
            factor * (at_least_C - deeper_C)
            for factor, at_least_C, deeper_C in zip(self.factors, shared[:-1], shared[1:], strict=True)
        )
        upper_UC = np.ascontiguousarray(ancestors_CL.T[:-1])
        self.register_buffer("ancestor_UC", torch.from_numpy(upper_UC), persistent=False)
        self.register_buffer("sum_C", torch.from_numpy(np.asarray(sum_C, np.float64)), persistent=False)

    def targets(self, labels_A: Tensor, local: slice, dtype: torch.dtype) -> TreeTargets:
        """Return the soft labels of rows.

        labels_A: their labels
        local:    the classes of this rank
        dtype:    number type of the targets
        """
        sum_A = self.sum_C[labels_A]
        *target_LA, label_target_A = ((factor / sum_A).to(dtype) for factor in self.factors)
        return TreeTargets(
            self.ancestor_UC[:, local], self.ancestor_UC[:, labels_A], torch.stack(target_LA), label_target_A
        )
