"""Rows of a report, computed from counts: estimates per file, averaged over repeats, with gains and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev
from typing import NamedTuple, Protocol

from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import Criterion, FilePair, PopulationCounts, SplitCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.intervals import Interval, unpaired_gain_interval
from prodrec.eval.report.leaf_groups import LeafGroup
from prodrec.eval.report.run_groups import RunGroup, paired_files
from prodrec.eval.report.strata import Strata, count_classes, leaf_strata
from prodrec.eval.report.table import Cell, Gain, Row


class Estimate(NamedTuple):
    """A value for one file, with its 95 % interval, over `images` test images of `classes` classes."""

    value: float
    interval: Interval
    classes: int
    images: int


class Statistic(Protocol):
    """A quantity that can be estimated for each file. Files are named by their index."""

    def estimate(self, file: int) -> Estimate | None:
        """Return the estimate of a file; None if there is no image, or if the run lacks the scores."""

    def paired_gain_interval(self, first: int, second: int) -> Interval | None:
        """Return the interval of the second file's gain; None if the two files do not have the same rows."""


class Accuracy:
    """The statistic Σ_s weights_s · correct_s / images_s by one criterion, with the strata of each file."""

    def __init__(self, counts: PopulationCounts, criterion: Criterion, strata: Sequence[Strata | None]) -> None:
        self.counts = counts
        self.criterion = criterion
        self.strata = strata

    def estimate(self, file: int) -> Estimate | None:
        strata, correct_C = self.strata[file], self.counts.files[file].correct.get(self.criterion)
        if strata is None or correct_C is None:
            return None
        value, interval = strata.accuracy(correct_C)
        return Estimate(value, interval, strata.classes, strata.images)

    def paired_gain_interval(self, first: int, second: int) -> Interval | None:
        pair, strata = self.counts.pairs.get((first, second)), self.strata[first]
        if pair is None or strata is None or self.criterion not in pair.better:
            return None
        return strata.paired_gain_interval(pair.better[self.criterion], pair.worse[self.criterion])


def tested_in(strata: Sequence[Strata | None]) -> tuple[int, int]:
    """Return the number of classes and of test images in the first strata that are not None; zeros if all are."""
    return next(((s.classes, s.images) for s in strata if s is not None), (0, 0))


class RowBuilder:
    """Builds the rows of a report from the counts of `files`."""

    def __init__(self, files: Sequence[Scores], run_groups: Sequence[RunGroup], counts: SplitCounts) -> None:
        self.run_groups = run_groups
        self.counts = counts
        self.pairs = [paired_files(files, run_groups[0], group) for group in run_groups]
        self.ancestors_CL = EndClasses(files[0].taxonomy).ancestors_EL

    def accuracy_rows(
        self, group: LeafGroup, tops: Sequence[int], population: PopulationCounts | None = None
    ) -> list[Row]:
        """Return the rows of a group, one for each metric and k, over all rows or over `population`."""
        population = population or self.counts.all_rows
        total_classes = count_classes(group, group.members, self.ancestors_CL)
        rows = []
        for metric in group.metrics:
            strata = [leaf_strata(group, metric, counts, self.ancestors_CL) for counts in population.files]
            for top in tops:
                row = Row(group.section, group.name, group.level, metric, top, total_classes, tested=tested_in(strata))
                rows.append(self.fill(row, Accuracy(population, (group.level, top), strata)))
        return rows

    def fill(self, row: Row, statistic: Statistic) -> Row:
        """Return `row` with a cell for every run group; None for a group with a file that has no estimate."""
        cells: list[Cell | None] = []
        for group, pairs in zip(self.run_groups, self.pairs, strict=True):
            estimates = [estimate for i in group.files if (estimate := statistic.estimate(i)) is not None]
            if len(estimates) < len(group.files):
                cells.append(None)
                continue
            cell = Cell(
                value=mean(estimate.value for estimate in estimates),
                interval=_mean_interval([estimate.interval for estimate in estimates]),
                classes=estimates[0].classes,
                images=estimates[0].images,
                spread=_spread([estimate.value for estimate in estimates]),
            )
            first = cells[0] if cells else None
            cells.append(replace(cell, gain=_gain(statistic, pairs, first, cell)) if first is not None else cell)
        return replace(row, cells=tuple(cells))


def _gain(statistic: Statistic, pairs: Sequence[FilePair], first: Cell, cell: Cell) -> Gain:
    """Return the gain of `cell` over `first`, paired if all `pairs` of their files have the same rows."""
    gains, intervals = [], []
    for i, j in pairs:
        a, b = statistic.estimate(i), statistic.estimate(j)
        assert a is not None and b is not None, "a run group with a cell has estimates of all its files"
        gains.append(b.value - a.value)
        interval = statistic.paired_gain_interval(i, j)
        if interval is not None:
            intervals.append(interval)
    spread = _spread(gains)
    if not pairs and first.spread is not None and cell.spread is not None:
        spread = (first.spread**2 + cell.spread**2) ** 0.5
    if pairs and len(intervals) == len(pairs):
        return Gain(cell.value - first.value, _mean_interval(intervals), spread, paired=True)
    interval = unpaired_gain_interval(first.value, first.interval, cell.value, cell.interval)
    return Gain(cell.value - first.value, interval, spread, paired=False)


def _mean_interval(intervals: Sequence[Interval]) -> Interval:
    return mean(low for low, _ in intervals), mean(high for _, high in intervals)


def _spread(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation; None for a single value."""
    return stdev(values) if len(values) > 1 else None
