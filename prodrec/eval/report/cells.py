"""The figures of a report: one row for every figure of every column, with the gain against the first column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import NamedTuple, Protocol

from prodrec.core.scores.reader import Scores
from prodrec.eval.report.columns import Column, pairs_of
from prodrec.eval.report.counting import Counted, Question
from prodrec.eval.report.groups import Group, Strata, classes_above, strata
from prodrec.eval.report.intervals import of_unpaired_gain

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
    """One figure of all columns; a cell is None where there is no test image, or the run did not score what is asked.

    A cell's value times `scale` is in `unit`, percent or edges; less is better where `lower_is_better`. judged: classes
    and test images that there are, scored or not.
    """

    section: str
    group: str
    level: str
    metric: str
    top: int
    classes_in_all: int
    cells: tuple[Cell | None, ...] = ()
    unit: str = "percent"
    scale: float = 100.0
    lower_is_better: bool = False
    judged: tuple[int, int] = (0, 0)


class Estimate(NamedTuple):
    """A figure of one file, over `images` test images of `classes` classes."""

    value: float
    interval: Interval
    classes: int
    images: int


class Figure(Protocol):
    """What a row shows, by number of the file."""

    def of(self, file: int) -> Estimate | None:
        """The figure of a file; None where there is nothing to tell."""

    def paired_gain(self, first: int, second: int) -> Interval | None:
        """Interval of the gain of the second file; None where the two were not judged on the same rows."""


class Share:
    """A weighed share of right images: what `counted` has right of `question`, by the strata of each file."""

    def __init__(self, counted: Counted, question: Question, weighed: Sequence[Strata | None]) -> None:
        self.counted = counted
        self.question = question
        self.weighed = weighed

    def of(self, file: int) -> Estimate | None:
        own, right_C = self.weighed[file], self.counted.tallies[file].right.get(self.question)
        if own is None or right_C is None:
            return None
        value, interval = own.accuracy(right_C)
        return Estimate(value, interval, own.classes, int(own.images_S.sum()))

    def paired_gain(self, first: int, second: int) -> Interval | None:
        pair, own = self.counted.pairs.get((first, second)), self.weighed[first]
        if pair is None or own is None or self.question not in pair.better:
            return None
        return own.paired_gain(pair.better[self.question], pair.worse[self.question])


def judged_in(weighed: Sequence[Strata | None]) -> tuple[int, int]:
    """Classes and test images of the first file that has any."""
    return next(((own.classes, int(own.images_S.sum())) for own in weighed if own is not None), (0, 0))


class Table:
    """Makes rows from what was counted in `files`."""

    def __init__(self, files: Sequence[Scores], columns: Sequence[Column], counted: Counted) -> None:
        self.columns = columns
        self.counted = counted
        self.pairs = [pairs_of(files, columns[0], column) for column in columns]
        self.ancestors_CL = files[0].taxonomy.ancestors()

    def rows(self, group: Group, tops: Sequence[int], counted: Counted | None = None) -> list[Row]:
        """The rows of one group of leaves, metric by metric and top by top; of all that was counted, or of a part."""
        counted = counted or self.counted
        in_all = classes_above(group, group.leaves, self.ancestors_CL)
        rows = []
        for metric in group.metrics:
            weighed = [strata(group, metric, tally.images, self.ancestors_CL) for tally in counted.tallies]
            for top in tops:
                row = Row(group.section, group.name, group.level, metric, top, in_all, judged=judged_in(weighed))
                rows.append(self.row(row, Share(counted, (group.level, top), weighed)))
        return rows

    def row(self, about: Row, figure: Figure) -> Row:
        """`about` with the cells of all columns."""
        cells: list[Cell | None] = []
        for column, pairs in zip(self.columns, self.pairs, strict=True):
            found = [estimate for i in column.files if (estimate := figure.of(i)) is not None]
            if len(found) < len(column.files):
                cells.append(None)
                continue
            cell = Cell(
                value=mean(estimate.value for estimate in found),
                interval=_mean_interval([estimate.interval for estimate in found]),
                classes=found[0].classes,
                images=found[0].images,
                spread=_spread([estimate.value for estimate in found]),
            )
            first = cells[0] if cells else None
            cells.append(replace(cell, gain=_gain(figure, pairs, first, cell)) if first is not None else cell)
        return replace(about, cells=tuple(cells))


def most_images(rows: Sequence[Row], count: int) -> list[Row]:
    """The `count` rows with most test images, most first."""
    return sorted(rows, key=lambda row: -images_of(row))[:count]


def images_of(row: Row) -> int:
    """Test images of the first column that has any."""
    return next((cell.images for cell in row.cells if cell is not None), row.judged[1])


def _gain(figure: Figure, pairs: Sequence[tuple[int, int]], first: Cell, cell: Cell) -> Gain:
    gains, intervals = [], []
    for i, j in pairs:
        a, b = figure.of(i), figure.of(j)
        assert a is not None and b is not None, "a column with a figure has it from all its files"
        gains.append(b.value - a.value)
        interval = figure.paired_gain(i, j)
        if interval is not None:
            intervals.append(interval)
    spread = _spread(gains)
    if not pairs and first.spread is not None and cell.spread is not None:
        spread = (first.spread**2 + cell.spread**2) ** 0.5
    if pairs and len(intervals) == len(pairs):
        return Gain(cell.value - first.value, _mean_interval(intervals), spread, paired=True)
    interval = of_unpaired_gain(first.value, first.interval, cell.value, cell.interval)
    return Gain(cell.value - first.value, interval, spread, paired=False)


def _mean_interval(intervals: Sequence[Interval]) -> Interval:
    return mean(low for low, _ in intervals), mean(high for _, high in intervals)


def _spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for a single value."""
    return stdev(values) if len(values) > 1 else None
