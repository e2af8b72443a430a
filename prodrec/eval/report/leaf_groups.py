"""Groups of classes over which a report computes accuracies, such as the head, the tail or the leaves of a root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.strata import ACC, MACC, MACRO


@dataclass(frozen=True)
class Thresholds:
    """Numbers of training images that divide the leaves into head and tail (A fig. 6), and into many, medium and few.

    A leaf belongs to the head if it has at least `head_from` training images, else to the tail. It belongs to "many" if
    it has more than `many`, to "few" if it has fewer than `few`, else to "medium".
    Raise BadOption for a threshold out of range, or if `few` is above `many`.
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
class LeafGroup:
    """A group of end classes (see end_classes.py), evaluated at one level: leaves, and for a level above them also the
    classes at which paths end between the two levels.

    section: section of the report in which the group is shown.
    name:    label of its rows.
    level:   name of the level whose classes are evaluated; `depth` is its index.
    members: the end classes, int64. All have a class at the level. Those of the leaf level are the indices of leaves.
    metrics: ACC, MACC or MACRO; the report has a row for each.
    """

    section: str
    name: str
    level: str
    depth: int
    members: NDArray[np.int64]
    metrics: tuple[str, ...]


def leaf_groups(
    taxonomy: Taxonomy,
    train_images_C: NDArray[np.int64],
    *,
    thresholds: Thresholds,
    by_head_tail: bool = False,
    by_root: bool = False,
    by_level: bool = False,
) -> list[LeafGroup]:
    """Return the groups of a report in display order; the first contains all leaves.

    Raise BadOption for `by_root` if the tree has one level.
    """
    leaf, depth, every_leaf = taxonomy.leaf_level, taxonomy.depth - 1, np.arange(len(taxonomy.leaves))
    groups = [LeafGroup("overall", "all", leaf, depth, every_leaf, (ACC, MACC))]

    def add(section: str, name: str, member_C: NDArray[np.bool_]) -> None:
        groups.append(LeafGroup(section, name, leaf, depth, np.flatnonzero(member_C), (ACC, MACC)))

    if by_head_tail:
        add("head and tail", f"head (≥ {thresholds.head_from})", train_images_C >= thresholds.head_from)
        add("head and tail", f"tail (< {thresholds.head_from})", train_images_C < thresholds.head_from)
        many_C, few_C = train_images_C > thresholds.many, train_images_C < thresholds.few
        add("many, medium, few", f"many (> {thresholds.many})", many_C)
        add("many, medium, few", f"medium ({thresholds.few}–{thresholds.many})", ~many_C & ~few_C)
        add("many, medium, few", f"few (< {thresholds.few})", few_C)
    if by_root:
        if taxonomy.depth == 1:
            raise BadOption(f"--by-root: the classes have one level ({leaf}) and so no roots above it; omit --by-root.")
        groups += root_groups(taxonomy, (ACC, MACC))
    if by_level:
        end_classes = EndClasses(taxonomy)
        groups += [
            LeafGroup("by level", level, level, i, end_classes.with_level(i), (ACC, MACC))
            for i, level in enumerate(taxonomy.levels)
        ]
    return groups


def root_groups(taxonomy: Taxonomy, metrics: tuple[str, ...]) -> list[LeafGroup]:
    """Return a group of all leaves for the mean over roots, then a group for the leaves of every root."""
    leaf, depth, section = taxonomy.leaf_level, taxonomy.depth - 1, "by root"
    root_C = taxonomy.ancestors()[:, 0]
    # One sort, because comparing root_C with every root would take roots · leaves steps.
    leaves = np.argsort(root_C, kind="stable")
    leaves_by_root = np.split(leaves, np.searchsorted(root_C[leaves], np.arange(1, len(taxonomy.names[0]))))
    mean = LeafGroup(section, "mean over roots", leaf, depth, np.arange(len(root_C)), (MACRO,))
    roots = zip(taxonomy.names[0], leaves_by_root, strict=True)
    return [mean, *(LeafGroup(section, name, leaf, depth, members, metrics) for name, members in roots)]
