"""The set Ω of all refined categories: levels concatenated and numbered consecutively, with parents and children.

Shapes: R rows; L refined levels; C_j categories of level j (S: C^j), j = 0 the shallowest; n = ΣC_j = |Ω|.
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

    The categories of level j have the numbers starts_L1[j] … starts_L1[j + 1] - 1.

    levels:    names of the refined levels.
    starts_L1: L + 1 numbers: the first category of every level, and n.
    parent_n:  the ancestor of every category at the next shallower refined level; -1 at the first level.
    """

    levels: tuple[str, ...]
    starts_L1: NDArray[np.int64]
    parent_n: NDArray[np.int64]

    @classmethod
    def from_taxonomy(cls, taxonomy: Taxonomy, levels: Sequence[str]) -> Tree:
        """Return the tree of `levels`, which are in the order of the taxonomy."""
        counts = [taxonomy.count(level) for level in levels]
        starts = np.r_[0, np.cumsum(counts)].astype(np.int64)
        parents = np.full(starts[-1], -1, dtype=np.int64)
        for j in range(1, len(levels)):
            parents[starts[j] : starts[j + 1]] = starts[j - 1] + taxonomy.ancestors_of_level(levels[j], levels[j - 1])
        return cls(tuple(levels), starts, parents)

    @property
    def n(self) -> int:
        return int(self.starts_L1[-1])

    @property
    def depth(self) -> int:
        return len(self.levels)

    def level_of(self, categories: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the level j of every category number."""
        level: NDArray[np.int64] = np.searchsorted(self.starts_L1, categories, side="right") - 1
        return level

    def numbers(self, labels_RL: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the category numbers of class indices at every level, int64 [R, L]; -1 for -1."""
        numbers_RL: NDArray[np.int64] = labels_RL + self.starts_L1[:-1]
        numbers_RL[labels_RL < 0] = -1
        return numbers_RL

    def count(self, j: int) -> int:
        """Return the number of categories of level j."""
        return int(self.starts_L1[j + 1] - self.starts_L1[j])

    def children(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (bounds [n + 1], children): those of c are children[bounds[c] : bounds[c + 1]], ascending."""
        with_parent = np.flatnonzero(self.parent_n >= 0)
        children = with_parent[np.argsort(self.parent_n[with_parent], kind="stable")]
        counts = np.bincount(self.parent_n[with_parent], minlength=self.n)
        return np.r_[0, np.cumsum(counts)].astype(np.int64), children
