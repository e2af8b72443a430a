"""Counts of correct images, by class, for score files and for pairs of them.

Shapes: C classes of a population: the end classes (see end_classes.py), or the states of an attribute; R rows; V values
of a tree measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Criterion = tuple[str, int]
"""(level or attribute, k): a row is correct if its true class or state is among the k best."""
FilePair = tuple[int, int]
"""Indices of two score files that are compared row by row."""


@dataclass
class ClassCounts:
    """Counts of one score file.

    images_C:  test images of every class, int64.
    correct:   correct images by criterion, int64 [C]; a criterion for which the run has no scores is missing.
    squares_C: sum over products of their squared numbers of images of the class, int64; None if every image shows
               another product, so that it equals images_C. See product_squares.py.
    """

    images_C: NDArray[np.int64]
    correct: dict[Criterion, NDArray[np.int64]] = field(default_factory=dict)
    squares_C: NDArray[np.int64] | None = None

    def independent_share(self, members: Any = ...) -> NDArray[np.float64]:
        """Return which share of the images of each class counts as independent, float64; NaN without images.

        members: a NumPy index of the classes
        """
        images = self.images_C[members]
        with np.errstate(invalid="ignore"):
            share: NDArray[np.float64] = images / (images if self.squares_C is None else self.squares_C[members])
        return share


@dataclass
class PairCounts:
    """Counts of the images on which two runs differ, by criterion, int64 [C].

    better: images that only the second run predicts correctly.
    worse:  images that only the first run predicts correctly.
    """

    better: dict[Criterion, NDArray[np.int64]] = field(default_factory=dict)
    worse: dict[Criterion, NDArray[np.int64]] = field(default_factory=dict)


class ClassifiedRows(NamedTuple):
    """Rows of one file in a population: their classes, and by criterion whether they are correct."""

    class_R: NDArray[np.int32]
    correct: dict[Criterion, NDArray[np.bool_]]


@dataclass
class PopulationCounts:
    """Counts over one population of rows: one entry per file, and one per pair of files with the same rows."""

    files: list[ClassCounts]
    pairs: dict[FilePair, PairCounts] = field(default_factory=dict)

    @classmethod
    def zeros(cls, files: int, classes: int, pairs: Sequence[FilePair]) -> PopulationCounts:
        """Return empty counts."""
        return cls(
            [ClassCounts(np.zeros(classes, dtype=np.int64)) for _ in range(files)],
            {pair: PairCounts() for pair in pairs},
        )

    def add(self, rows: Sequence[ClassifiedRows | None]) -> None:
        """Add one chunk of rows from every file; None for a file without rows in this population."""
        for counts, classified in zip(self.files, rows, strict=True):
            if classified is not None:
                np.add.at(counts.images_C, classified.class_R, 1)
                for criterion, correct_R in classified.correct.items():
                    self._add(counts.correct, criterion, classified.class_R[correct_R])
        for (i, j), pair in self.pairs.items():
            a, b = rows[i], rows[j]
            if a is not None and b is not None:
                for criterion in a.correct.keys() & b.correct:
                    a_R, b_R = a.correct[criterion], b.correct[criterion]
                    self._add(pair.better, criterion, a.class_R[b_R & ~a_R])
                    self._add(pair.worse, criterion, a.class_R[a_R & ~b_R])

    def _add(
        self, counts: dict[Criterion, NDArray[np.int64]], criterion: Criterion, class_R: NDArray[np.int32]
    ) -> None:
        if criterion not in counts:
            counts[criterion] = np.zeros(len(self.files[0].images_C), dtype=np.int64)
        # np.bincount would allocate all classes for each chunk, and there may be more classes than rows in a chunk.
        np.add.at(counts[criterion], class_R, 1)


@dataclass
class ProductCounts:
    """The products of one score file.

    products, photos: number of products and of their rows; both are 0 if no product of the file has several photos and
                      none was looked for
    mixed:            number of products whose photos have different labels, if they were pooled
    """

    products: int = 0
    photos: int = 0
    mixed: int = 0

    @property
    def has_several(self) -> bool:
        """Whether some product has several photos."""
        return self.photos > self.products


@dataclass
class SplitCounts:
    """All counts over the rows of one split.

    all_rows:        every row, by its end class.
    attributes:      the rows labelled with an attribute. Their classes are the states of the attribute at the key
                     (attribute, "state"), and the end classes at the key (attribute, "leaf").
    tree_histograms: per file, images with a leaf by value of each tree measure, int64 [V].
    tree_pairs:      the same by the values of the first (rows) and the second file (columns) of a pair, int64 [V, V].
    products:        per file, its products.
    """

    all_rows: PopulationCounts
    attributes: dict[tuple[str, str], PopulationCounts] = field(default_factory=dict)
    tree_histograms: list[dict[str, NDArray[np.int64]]] = field(default_factory=list)
    tree_pairs: dict[FilePair, dict[str, NDArray[np.int64]]] = field(default_factory=dict)
    products: list[ProductCounts] = field(default_factory=list)

    def drop_pair(self, pair: FilePair) -> None:
        """Remove a pair of files that do not have the same rows."""
        for population in (self.all_rows, *self.attributes.values()):
            population.pairs.pop(pair, None)
        self.tree_pairs.pop(pair, None)
