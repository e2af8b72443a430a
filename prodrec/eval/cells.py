"""The figures of a report: every group, metric and top-k of every column, with the gain against the first column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from prodrec.core.scores import Scores
from prodrec.eval.columns import Column, pairs_of
from prodrec.eval.groups import Group, Strata, strata
from prodrec.eval.intervals import of_unpaired_gain
from prodrec.eval.metrics import Counted, Question

Interval = tuple[float, float]


@dataclass(frozen=True)
class Gain:
    """How much better than the first column. paired: judged on the same rows; spread: over seeds."""

    value: float
    interval: Interval
    spread: float | None
    paired: bool


@dataclass(frozen=True)
class Cell:
    """One figure of one column, a fraction, over `images` test images of `classes` classes.

    For repeats: the mean, the mean interval (that of one repeat; repeats judge the same images), and in `spread` the
    sample standard deviation.
    """

    value: float
    interval: Interval
    classes: int
    images: int
    spread: float | None = None
    gain: Gain | None = None


@dataclass(frozen=True)
class Row:
    """One figure of all columns; a cell is None where the group has no class with a test image."""

    section: str
    group: str
    level: str
    metric: str
    top: int
    classes_in_all: int
    cells: tuple[Cell | None, ...]


class Table:
    """Makes rows from what was counted in `files`."""

    def __init__(self, files: Sequence[Scores], columns: Sequence[Column], counted: Counted) -> None:
        self.columns = columns
        self.counted = counted
        self.pairs = [pairs_of(files, columns[0], column) for column in columns]
        self.ancestors_CL = files[0].taxonomy.ancestors()

    def rows(self, group: Group, tops: Sequence[int]) -> list[Row]:
        """The rows of one group, metric by metric and top by top."""
        in_all = self._classes(group.leaves, group)
        rows = []
        for metric in group.metrics:
            weighed = [strata(group, metric, tally.images, self.ancestors_CL) for tally in self.counted.tallies]
            for top in tops:
                cells = self._cells(group, weighed, (group.level, top))
                rows.append(Row(group.section, group.name, group.level, metric, top, in_all, cells))
        return rows

    def _cells(self, group: Group, weighed: Sequence[Strata | None], question: Question) -> tuple[Cell | None, ...]:
        cells: list[Cell | None] = []
        for column, pairs in zip(self.columns, self.pairs, strict=True):
            strata_of_column = [own for i in column.files if (own := weighed[i]) is not None]
            if len(strata_of_column) < len(column.files):
                cells.append(None)
                continue
            right = [self.counted.tallies[i].right[question] for i in column.files]
            figures = [own.accuracy(right_C) for own, right_C in zip(strata_of_column, right, strict=True)]
            judged = strata_of_column[0]
            cell = Cell(
                value=mean(value for value, _ in figures),
                interval=_mean_interval([interval for _, interval in figures]),
                classes=self._classes(judged.leaves, group),
                images=int(judged.images_S.sum()),
                spread=_spread([value for value, _ in figures]),
            )
            first = cells[0] if cells else None
            gain = self._gain(pairs, weighed, question, first, cell) if first is not None else None
            cells.append(replace(cell, gain=gain))
        return tuple(cells)

    def _gain(
        self,
        pairs: Sequence[tuple[int, int]],
        weighed: Sequence[Strata | None],
        question: Question,
        first: Cell,
        cell: Cell,
    ) -> Gain:
        gains, intervals = [], []
        for i, j in pairs:
            a, b = weighed[i], weighed[j]
            assert a is not None and b is not None, "a column with a figure has test images in all its files"
            values = [own.accuracy(self.counted.tallies[n].right[question])[0] for n, own in ((i, a), (j, b))]
            gains.append(values[1] - values[0])
            if (i, j) in self.counted.pairs:
                pair = self.counted.pairs[i, j]
                intervals.append(a.paired_gain(pair.better[question], pair.worse[question]))
        spread = _spread(gains)
        if not pairs and first.spread is not None and cell.spread is not None:
            spread = (first.spread**2 + cell.spread**2) ** 0.5
        if pairs and len(intervals) == len(pairs):
            return Gain(cell.value - first.value, _mean_interval(intervals), spread, paired=True)
        interval = of_unpaired_gain(first.value, first.interval, cell.value, cell.interval)
        return Gain(cell.value - first.value, interval, spread, paired=False)

    def _classes(self, leaves: NDArray[np.int64], group: Group) -> int:
        """Number of classes of the group's level that these leaves belong to."""
        if group.depth == self.ancestors_CL.shape[1] - 1:
            return len(leaves)
        return int(np.count_nonzero(np.bincount(self.ancestors_CL[leaves, group.depth])))


def _mean_interval(intervals: Sequence[Interval]) -> Interval:
    return mean(low for low, _ in intervals), mean(high for _, high in intervals)


def _spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for a single value."""
    return stdev(values) if len(values) > 1 else None
