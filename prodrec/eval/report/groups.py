"""Which leaves a row of the report is about, and how their images are weighed.

ACC   over images: every image counts the same (S §4.1).
MACC  mean over classes of each class's accuracy; only classes with test images can count (S §4.1).
macro mean over roots of the MACC inside each root (S fig. 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.intervals import of_accuracy, of_paired_gain

ACC, MACC, MACRO = "ACC", "MACC", "macro"


@dataclass(frozen=True)
class Thresholds:
    """Training images by which leaves are head or tail (A fig. 6), and many, medium or few.

    head: at least head_from; tail: below. many: more than `many`; few: fewer than `few`; medium: between.
    Raises BadOption for a threshold below what counts can be, or few above many.
    """

    head_from: int = 100
    many: int = 100
    few: int = 20

    def __post_init__(self) -> None:
        if self.head_from < 1:
            raise BadOption(f"--head-from {self.head_from}: expected at least 1 training image.")
        if self.few < 0 or self.many < 0:
            raise BadOption(f"--many {self.many} --few {self.few}: expected numbers of training images, not negative.")
        if self.few > self.many:
            raise BadOption(f"--few {self.few} is above --many {self.many}: a leaf would be both; give few ≤ many.")


@dataclass(frozen=True)
class Group:
    """Leaves that a row of the report is about; `level`, of number `depth`, is the level whose classes are judged."""

    section: str
    name: str
    level: str
    depth: int
    leaves: NDArray[np.int64]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Strata:
    """Leaves (or states) with test images and the stratum of each; a figure is Σ_s weights_s · right_s / images_s.

    classes: how many classes of the judged level the leaves belong to.
    """

    leaves: NDArray[np.int64]
    stratum: NDArray[np.int64]
    weights_S: NDArray[np.float64]
    images_C: NDArray[np.int64]
    classes: int

    @cached_property
    def images_S(self) -> NDArray[np.int64]:
        """Test images of every stratum."""
        return self.sum(self.images_C)

    def sum(self, counts_C: NDArray[np.int64]) -> NDArray[np.int64]:
        """Counts by leaf (or state), added up by stratum."""
        sums: NDArray[np.int64] = np.zeros(len(self.weights_S), dtype=np.int64)
        np.add.at(sums, self.stratum, counts_C[self.leaves])
        return sums

    def accuracy(self, right_C: NDArray[np.int64]) -> tuple[float, tuple[float, float]]:
        """The figure and its interval."""
        right_S = self.sum(right_C)
        value = float((self.weights_S * right_S / self.images_S).sum())
        return value, of_accuracy(right_S, self.images_S, self.weights_S)

    def paired_gain(self, better_C: NDArray[np.int64], worse_C: NDArray[np.int64]) -> tuple[float, float]:
        """Interval of the gain of two runs that judged the same rows."""
        return of_paired_gain(self.sum(better_C), self.sum(worse_C), self.images_S, self.weights_S)


def groups(
    taxonomy: Taxonomy,
    train_images: NDArray[np.int64],
    *,
    thresholds: Thresholds,
    by_head_tail: bool = False,
    by_root: bool = False,
    by_level: bool = False,
) -> list[Group]:
    """The groups of a report in the order in which it shows them. Raises BadOption for roots where there are none."""
    leaf, last, everything = taxonomy.leaf_level, taxonomy.depth - 1, np.arange(len(taxonomy.leaves))
    found = [Group("overall", "all", leaf, last, everything, (ACC, MACC))]

    def add(section: str, name: str, inside: NDArray[np.bool_]) -> None:
        found.append(Group(section, name, leaf, last, np.flatnonzero(inside), (ACC, MACC)))

    if by_head_tail:
        add("head and tail", f"head (≥ {thresholds.head_from})", train_images >= thresholds.head_from)
        add("head and tail", f"tail (< {thresholds.head_from})", train_images < thresholds.head_from)
        many, few = train_images > thresholds.many, train_images < thresholds.few
        add("many, medium, few", f"many (> {thresholds.many})", many)
        add("many, medium, few", f"medium ({thresholds.few}–{thresholds.many})", ~many & ~few)
        add("many, medium, few", f"few (< {thresholds.few})", few)
    if by_root:
        if taxonomy.depth == 1:
            raise BadOption(f"--by-root: the classes have one level ({leaf}) and so no roots above it; leave it out.")
        found += root_groups(taxonomy, (ACC, MACC))
    if by_level:
        found += [
            Group("by level", level, level, i, everything, (ACC, MACC)) for i, level in enumerate(taxonomy.levels)
        ]
    return found


def root_groups(taxonomy: Taxonomy, metrics: tuple[str, ...]) -> list[Group]:
    """The mean over roots, and the leaves of every root."""
    leaf, last, section = taxonomy.leaf_level, taxonomy.depth - 1, "by root"
    root_C = taxonomy.ancestors()[:, 0]
    leaves = np.argsort(root_C, kind="stable")  # once: a comparison for each of many roots would not end
    parts = np.split(leaves, np.searchsorted(root_C[leaves], np.arange(1, len(taxonomy.names[0]))))
    mean = Group(section, "mean over roots", leaf, last, np.arange(len(root_C)), (MACRO,))
    names = zip(taxonomy.names[0], parts, strict=True)
    return [mean, *(Group(section, name, leaf, last, inside, metrics) for name, inside in names)]


def strata(group: Group, metric: str, images_C: NDArray[np.int64], ancestors_CL: NDArray[np.int32]) -> Strata | None:
    """How the images of `group` are weighed for `metric`; None where the group has no test image.

    images_C: test images of every leaf; ancestors_CL: class of every leaf at every level.
    """
    leaves = group.leaves[images_C[group.leaves] > 0]
    if not len(leaves):
        return None
    if metric == ACC:
        stratum, weights_S = np.zeros(len(leaves), dtype=np.int64), np.ones(1)
    elif metric == MACC and group.depth == ancestors_CL.shape[1] - 1:
        stratum, weights_S = np.arange(len(leaves)), np.full(len(leaves), 1 / len(leaves))
    elif metric == MACC:
        classes, stratum = np.unique(ancestors_CL[leaves, group.depth], return_inverse=True)
        weights_S = np.full(len(classes), 1 / len(classes))
    else:
        roots, root_of, sizes = np.unique(ancestors_CL[leaves, 0], return_inverse=True, return_counts=True)
        stratum, weights_S = np.arange(len(leaves)), 1 / (len(roots) * sizes[root_of])
    return Strata(leaves, stratum, weights_S, images_C, classes_above(group, leaves, ancestors_CL))


def classes_above(group: Group, leaves: NDArray[np.int64], ancestors_CL: NDArray[np.int32]) -> int:
    """Number of classes of the group's level that these leaves belong to."""
    if group.depth == ancestors_CL.shape[1] - 1:
        return len(leaves)
    return int(np.count_nonzero(np.bincount(ancestors_CL[leaves, group.depth])))


def state_strata(metric: str, images_M: NDArray[np.int64]) -> Strata | None:
    """The same for the states of an attribute, by their test images: ACC over images, MACC over states."""
    states = np.flatnonzero(images_M)
    if not len(states):
        return None
    stratum = np.zeros(len(states), dtype=np.int64) if metric == ACC else np.arange(len(states))
    weights_S = np.full(stratum[-1] + 1, 1 / (stratum[-1] + 1))
    return Strata(states, stratum, weights_S, images_M, len(states))
