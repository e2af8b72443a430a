"""The weights of test images in a metric. Images are divided into strata, and each stratum has one weight.

ACC    over images: one stratum, every image has the same weight (S §4.1).
MACC   mean of the accuracies of the classes that have test images: one stratum per class (S §4.1).
macro  mean over roots of the MACC within each root: one stratum per leaf (S fig. 5).

An image is in a group only if its end class is (see end_classes.py): it has a label at the evaluated level.

Shapes: C end classes (or M states of an attribute); L levels; S strata.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.report.class_counts import Number
from prodrec.eval.report.intervals import Interval, accuracy_interval, paired_gain_errors

if TYPE_CHECKING:
    from prodrec.eval.report.class_counts import ClassCounts
    from prodrec.eval.report.leaf_groups import LeafGroup

ACC, MACC, MACRO = "ACC", "MACC", "macro"


@dataclass(frozen=True)
class Strata:
    """Strata of the end classes (or states) with test images. An accuracy is Σ_s weights_s · correct_s / images_s.

    members:   the end classes (or states) with test images, int64.
    stratum:   the stratum of each member, int64.
    weights_S: weights of the strata, with sum 1.
    counts:    counts of all end classes (or states).
    classes:   number of classes of the evaluated level to which the members belong.
    """

    members: NDArray[np.int64]
    stratum: NDArray[np.int64]
    weights_S: NDArray[np.float64]
    counts: ClassCounts
    classes: int

    @cached_property
    def images_S(self) -> NDArray[np.int64]:
        """Test images of every stratum."""
        return self.sum(self.counts.images_C)

    @cached_property
    def independent_S(self) -> NDArray[np.float64]:
        """The share of the images of every stratum that counts as independent; see product_squares.py."""
        if self.counts.squares_C is None:
            return np.ones(len(self.weights_S))
        return self.images_S / self.sum(self.counts.squares_C)

    @property
    def images(self) -> int:
        """Number of test images."""
        return int(self.images_S.sum())

    def sum(self, counts_C: NDArray[Number]) -> NDArray[Number]:
        """Return the sums of counts by end class (or state) over the members of every stratum, [S]."""
        sums_S = np.zeros(len(self.weights_S), dtype=counts_C.dtype)
        np.add.at(sums_S, self.stratum, counts_C[self.members])
        return sums_S

    def accuracy(self, correct_C: NDArray[np.int64]) -> tuple[float, Interval]:
        """Return the accuracy and its interval."""
        correct_S = self.sum(correct_C)
        value = float((self.weights_S * correct_S / self.images_S).sum())
        share_S = self.independent_S
        return value, accuracy_interval(correct_S * share_S, self.images_S * share_S, self.weights_S)

    def paired_gain_error(self, better_C: NDArray[np.float64], worse_C: NDArray[np.float64]) -> float:
        """Return the standard error of the gain between two columns that were evaluated on the same images."""
        share_S = self.independent_S
        better_S, worse_S = self.sum(better_C) * share_S, self.sum(worse_C) * share_S
        images_S = self.images_S * share_S
        return float(paired_gain_errors(better_S[None], worse_S[None], images_S[None], self.weights_S[None])[0])


def leaf_strata(group: LeafGroup, metric: str, counts: ClassCounts, ancestors_CL: NDArray[np.int32]) -> Strata | None:
    """Return the strata of `group` for `metric`; None if the group has no test image.

    counts: counts of every end class; ancestors_CL: the class of every end class at every level.
    """
    members = group.members[counts.images_C[group.members] > 0]
    if not len(members):
        return None
    if metric == ACC:
        stratum, weights_S = np.zeros(len(members), dtype=np.int64), np.ones(1)
    elif metric == MACC and group.depth == ancestors_CL.shape[1] - 1:
        stratum, weights_S = np.arange(len(members)), np.full(len(members), 1 / len(members))
    elif metric == MACC:
        classes, stratum = np.unique(ancestors_CL[members, group.depth], return_inverse=True)
        weights_S = np.full(len(classes), 1 / len(classes))
    else:
        roots, root_index, leaves_per_root = np.unique(
            ancestors_CL[members, 0], return_inverse=True, return_counts=True
        )
        stratum, weights_S = np.arange(len(members)), 1 / (len(roots) * leaves_per_root[root_index])
    return Strata(members, stratum, weights_S, counts, count_classes(group, members, ancestors_CL))


def state_strata(metric: str, counts: ClassCounts) -> Strata | None:
    """Return the strata of an attribute's states for ACC or MACC, given their counts; None without test images."""
    states = np.flatnonzero(counts.images_C)
    if not len(states):
        return None
    stratum = np.zeros(len(states), dtype=np.int64) if metric == ACC else np.arange(len(states))
    weights_S = np.full(stratum[-1] + 1, 1 / (stratum[-1] + 1))
    return Strata(states, stratum, weights_S, counts, len(states))


def count_classes(group: LeafGroup, members: NDArray[np.int64], ancestors_CL: NDArray[np.int32]) -> int:
    """Return the number of classes of the group's level to which `members` belong."""
    if group.depth == ancestors_CL.shape[1] - 1:
        return len(members)
    return int(np.count_nonzero(np.bincount(ancestors_CL[members, group.depth])))
