"""The classes of a dataset together with those of a run that was trained on other classes.

A run scores the classes that it knows. A dataset of tomorrow has new ones. The scores file then has the classes of the
dataset, in its order, and after them those that only the run has. A class of the dataset that the run does not know
gets a score below all others in every row, so that its photos count as wrong; a prediction that the dataset does not
have is wrong too.

Shapes: B rows; C classes of the run at a level; M merged classes; K best classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.class_matching import match_classes
from prodrec.core.base.taxonomy import PATH_SEPARATOR, Taxonomy
from prodrec.core.base.wording import listed

BELOW = 10.0
"""How far the scores of unknown classes are below the smallest score of the row."""


@dataclass(frozen=True)
class MergedClasses:
    """Classes of a dataset and of a run.

    taxonomy: all of them
    place_C:  by level, the merged class of every class of the run, int64 [C]
    """

    taxonomy: Taxonomy
    place_C: Mapping[str, NDArray[np.int64]]

    def spread(self, level: str, scores_BC: NDArray[Any]) -> NDArray[Any]:
        """Return the scores of all merged classes, B×M."""
        lowest_B1 = scores_BC.min(axis=1, keepdims=True) - BELOW
        scores_BM = np.repeat(lowest_B1, self.taxonomy.count(level), axis=1)
        scores_BM[:, self.place_C[level]] = scores_BC
        return scores_BM

    def renumber(self, level: str, class_BK: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the merged classes of classes of the run."""
        place_BK: NDArray[np.int64] = self.place_C[level][class_BK]
        return place_BK

    def count_images(self, images_C: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the training images of every merged leaf from those of the run's leaves, int64 [M]."""
        level = self.taxonomy.leaf_level
        images_M = np.zeros(self.taxonomy.count(level), np.int64)
        images_M[self.place_C[level]] = images_C
        return images_M

    def note(self, labels_NL: NDArray[np.integer]) -> str:
        """Return a sentence on the classes that the run does not know, of scored rows with the labels `labels_NL`."""
        parts = []
        for depth, level in enumerate(self.taxonomy.levels):
            known_M = np.zeros(self.taxonomy.count(level), np.bool_)
            known_M[self.place_C[level]] = True
            label_N = labels_NL[:, depth]
            rows_M = np.bincount(label_N[label_N >= 0], minlength=len(known_M)) * ~known_M
            if rows_M.any():
                most_first = np.argsort(-rows_M, kind="stable")[: np.count_nonzero(rows_M)]
                names = listed([self.taxonomy.names[depth][c] for c in most_first.tolist()])
                parts.append(f"{names} of level {level} ({rows_M.sum():,} photos)")
        if not parts:
            return "the run knows the classes of all scored photos, and was trained on others too."
        return f"the run does not know {'; '.join(parts)}: these photos count as wrong."


def merge_classes(run: Taxonomy, dataset: Taxonomy) -> MergedClasses | None:
    """Return the merged classes, or None if both have the same. Both must have the same levels.

    Classes are matched by their paths. A name that only the run has in this path, and that the dataset has in another
    path, is followed by the path of the run's class in brackets, because no name may occur twice at a level.
    """
    if run.difference(dataset) is None:
        return None
    matches = match_classes(run, dataset)
    names, parents = [], []
    places: list[NDArray[np.int64]] = []
    for depth, (level, index_C) in enumerate(zip(run.levels, matches, strict=True)):
        only_run = np.flatnonzero(index_C < 0)
        place_C = index_C.copy()
        place_C[only_run] = dataset.count(level) + np.arange(len(only_run))
        parent_C = run.parents[depth]
        if depth:
            parent_C = places[-1][parent_C].astype(np.int32)
        of_dataset = list(dataset.names[depth])
        names.append([*of_dataset, *_other_names(run, level, only_run.tolist(), set(of_dataset))])
        parents.append(np.concatenate([dataset.parents[depth], parent_C[only_run]]))
        places.append(place_C)
    merged = Taxonomy(run.levels, tuple(names), tuple(parents))  # type: ignore[arg-type]  # it converts the names
    return MergedClasses(merged, dict(zip(run.levels, places, strict=True)))


def _other_names(run: Taxonomy, level: str, classes: Sequence[int], taken: set[str]) -> list[str]:
    """Return names for classes of the run that are not in `taken`."""
    names = []
    for index in classes:
        *above, name = run.path(index, level)
        while name in taken:
            name = f"{name} ({PATH_SEPARATOR.join(above)})"
        taken.add(name)
        names.append(name)
    return names
