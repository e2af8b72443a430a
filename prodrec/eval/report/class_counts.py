"""Counts of correct images, by class, for score files and for pairs of columns.

Shapes: C classes of a population: the end classes (see end_classes.py), or the states of an attribute; R rows; V values
of a tree measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.int64, np.float64)
Criterion = tuple[str, int]
"""(level or attribute, k): a row is correct if its true class or state is among the k best."""
FilePair = tuple[int, int]
"""Indices of two score files that are compared row by row."""
ColumnPair = tuple[tuple[int, ...], tuple[int, ...]]
"""The score files of two columns that are compared row by row: one file each, or repeats with other seeds."""


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
    """Counts of the images on which two columns differ, by criterion, float64 [C].

    The difference d of an image is the share of the second column's files that predict it correctly, minus that of the
    first column's.

    better: Σ (d² + d)/2; of single files, the images that only the second one predicts correctly.
    worse:  Σ (d² - d)/2; of single files, the images that only the first one predicts correctly.
    """

    better: dict[Criterion, NDArray[np.float64]] = field(default_factory=dict)
    worse: dict[Criterion, NDArray[np.float64]] = field(default_factory=dict)


class ClassifiedRows(NamedTuple):
    """Rows of one file in a population: their classes, and by criterion whether they are correct."""

    class_R: NDArray[np.int32]
    correct: dict[Criterion, NDArray[np.bool_]]


@dataclass
class PopulationCounts:
    """Counts over one population of rows: one entry per file, and one per pair of columns with the same rows."""

    files: list[ClassCounts]
    pairs: dict[ColumnPair, PairCounts] = field(default_factory=dict)

    @classmethod
    def zeros(cls, files: int, classes: int, pairs: Sequence[ColumnPair]) -> PopulationCounts:
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
                    class_R = classified.class_R[correct_R]
                    self._add(counts.correct, criterion, class_R, np.ones(len(class_R), dtype=np.int64))
        for (first, second), pair in self.pairs.items():
            first_rows, second_rows = ([row for i in column if (row := rows[i])] for column in (first, second))
            if len(first_rows) < len(first) or len(second_rows) < len(second):
                continue
            class_R = first_rows[0].class_R
            for criterion in set.intersection(*(set(row.correct) for row in (*first_rows, *second_rows))):
                d_R = _share_correct(second_rows, criterion) - _share_correct(first_rows, criterion)
                differs_R = d_R != 0
                d_R = d_R[differs_R]
                self._add(pair.better, criterion, class_R[differs_R], (d_R**2 + d_R) / 2)
                self._add(pair.worse, criterion, class_R[differs_R], (d_R**2 - d_R) / 2)

    def _add(
        self,
        counts: dict[Criterion, NDArray[Number]],
        criterion: Criterion,
        class_R: NDArray[np.int32],
        values_R: NDArray[Number],
    ) -> None:
        if criterion not in counts:
            counts[criterion] = np.zeros(len(self.files[0].images_C), dtype=values_R.dtype)
        # np.bincount would allocate all classes for each chunk, and there may be more classes than rows in a chunk.
        np.add.at(counts[criterion], class_R, values_R)


def _share_correct(rows: Sequence[ClassifiedRows], criterion: Criterion) -> NDArray[np.float64]:
    """Return the share of the files that predict each row correctly, float64 [R]."""
    correct_R: NDArray[np.int64] = np.sum([row.correct[criterion] for row in rows], axis=0)
    return correct_R / len(rows)


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
    tree_pairs:      the same by the values of the first (rows) and the second file (columns) of a pair, int64 [V, V];
                     for all pairs of the files of two columns.
    products:        per file, its products.
    same_rows:       the files that contain the same rows as the first one.
    """

    all_rows: PopulationCounts
    attributes: dict[tuple[str, str], PopulationCounts] = field(default_factory=dict)
    tree_histograms: list[dict[str, NDArray[np.int64]]] = field(default_factory=list)
    tree_pairs: dict[FilePair, dict[str, NDArray[np.int64]]] = field(default_factory=dict)
    products: list[ProductCounts] = field(default_factory=list)
    same_rows: set[int] = field(default_factory=set)

    def drop_file(self, file: int) -> None:
        """Remove all pairs with a file that does not have the same rows as the first one."""
        self.same_rows.discard(file)
        for population in (self.all_rows, *self.attributes.values()):
            population.pairs = {pair: counts for pair, counts in population.pairs.items() if file not in sum(pair, ())}
        self.tree_pairs = {pair: counts for pair, counts in self.tree_pairs.items() if file not in pair}
