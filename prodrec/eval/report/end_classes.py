"""End classes: the classes at which the category paths of rows end.

Most paths end at a leaf. A path that ends early has no label (-1) at the deeper levels, and ends at a class of a
shallower level. The report counts rows by their end class. A group of leaves therefore has only the rows with a leaf,
and an evaluation of a shallower level also has the rows that end there or between it and the leaves.

End classes are numbered: the leaves have their class indices, and the classes of the other levels follow, deepest level
first.

Shapes: R rows; L levels; C leaves; E end classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy


@dataclass(frozen=True)
class EndClasses:
    """The end classes of a category tree."""

    taxonomy: Taxonomy

    @cached_property
    def starts_L(self) -> NDArray[np.int64]:
        """Number of the first end class of every level: int64 [L]."""
        counts = [len(names) for names in reversed(self.taxonomy.names)]
        return np.cumsum([0, *counts[:-1]])[::-1]

    @cached_property
    def ancestors_EL(self) -> NDArray[np.int32]:
        """The class of every end class at every level, -1 at the levels below it: int32 [E, L]."""
        taxonomy, parts = self.taxonomy, [self.taxonomy.ancestors()]
        for depth in range(taxonomy.depth - 2, -1, -1):
            level = taxonomy.levels[depth]
            part_CL = np.full((taxonomy.count(level), taxonomy.depth), -1, dtype=np.int32)
            for column in range(depth + 1):
                part_CL[:, column] = taxonomy.ancestors_of_level(level, taxonomy.levels[column])
            parts.append(part_CL)
        return np.concatenate(parts)

    def __len__(self) -> int:
        return sum(len(names) for names in self.taxonomy.names)

    def of_rows(self, labels_RL: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the end class of every row, int32 [R]."""
        end_R = labels_RL[:, -1]
        early = np.flatnonzero(end_R < 0)
        if len(early):
            depth_r = (labels_RL[early] >= 0).sum(axis=1) - 1
            end_R = end_R.copy()
            end_R[early] = self.starts_L[depth_r] + labels_RL[early, depth_r]
        return end_R

    def with_level(self, depth: int) -> NDArray[np.int64]:
        """Return the end classes that have a class at the level `depth`: int64, ascending."""
        return np.arange(self.starts_L[depth] + len(self.taxonomy.names[depth]))

    def images_by_level(self, images_E: NDArray[np.int64]) -> dict[str, int]:
        """Return the number of images that end at each level, by its name, from the images of every end class."""
        stops = [start + len(names) for start, names in zip(self.starts_L, self.taxonomy.names, strict=True)]
        return {
            level: int(images_E[start:stop].sum())
            for level, start, stop in zip(self.taxonomy.levels, self.starts_L, stops, strict=True)
        }
