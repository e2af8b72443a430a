"""The refined levels side by side: n categories, numbered level after level, and who is whose child.

Shapes: n categories over all refined levels; C_j of level j, which are starts[j] … starts[j + 1] - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy


@dataclass(frozen=True)
class Tree:
    """Ω of S §3.1 for some levels of a taxonomy, shallowest first.

    starts_L1: number of the first category of every level, and n. parent_n: number of each category's parent at the
    next shallower refined level, -1 at the first (levels between that are not refined are jumped over).
    """

    levels: tuple[str, ...]
    starts_L1: NDArray[np.int64]
    parent_n: NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.starts_L1[-1])

    @property
    def depth(self) -> int:
        return len(self.levels)

    def level_of(self, categories: NDArray[np.integer]) -> NDArray[np.int64]:
        """The index of the level of every category number."""
        found: NDArray[np.int64] = np.searchsorted(self.starts_L1, categories, side="right") - 1
        return found

    def count(self, at: int) -> int:
        """Categories of level number `at`."""
        return int(self.starts_L1[at + 1] - self.starts_L1[at])

    def children(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(bounds [n + 1], numbers): the children of category c are numbers[bounds[c] : bounds[c + 1]], ascending."""
        have = np.flatnonzero(self.parent_n >= 0)
        numbers = have[np.argsort(self.parent_n[have], kind="stable")]
        counts = np.bincount(self.parent_n[have], minlength=self.n)
        return np.r_[0, np.cumsum(counts)].astype(np.int64), numbers


def tree_of(taxonomy: Taxonomy, levels: Sequence[str]) -> Tree:
    """The tree of some levels of a taxonomy; `levels` in the order of the taxonomy."""
    counts = [taxonomy.count(level) for level in levels]
    starts = np.r_[0, np.cumsum(counts)].astype(np.int64)
    parents = np.full(starts[-1], -1, dtype=np.int64)
    for j in range(1, len(levels)):
        parents[starts[j] : starts[j + 1]] = starts[j - 1] + taxonomy.above(levels[j], levels[j - 1])
    return Tree(tuple(levels), starts, parents)
