"""Rows of a report, computed from counts: estimates per file, averaged over repeats, with gains and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, NamedTuple, Protocol

import numpy as np

from prodrec.core.scores.reader import Scores
from prodrec.eval.report.class_counts import Criterion, PopulationCounts, SplitCounts
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.intervals import Interval, unpaired_gain_interval
from prodrec.eval.report.leaf_groups import LeafGroup
from prodrec.eval.report.run_groups import RunGroup, paired_files, same_networks
from prodrec.eval.report.seed_intervals import gain_interval, over_images_and_seeds, seed_variance, single
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

    def paired_gain_error(self, first: tuple[int, ...], second: tuple[int, ...]) -> float | None:
        """Return the standard error over images of the gain of the mean of the second files over that of the first.

        None if the files do not have the same rows.
        """


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

    def paired_gain_error(self, first: tuple[int, ...], second: tuple[int, ...]) -> float | None:
        pair, strata = self.counts.pairs.get((first, second)), self.strata[first[0]]
        if pair is None or strata is None or self.criterion not in pair.better:
            return None
        return strata.paired_gain_error(pair.better[self.criterion], pair.worse[self.criterion])


def tested_in(strata: Sequence[Strata | None]) -> tuple[int, int]:
    """Return the number of classes and of test images in the first strata that are not None; zeros if all are."""
    return next(((s.classes, s.images) for s in strata if s is not None), (0, 0))


class RowBuilder:
    """Builds the rows of a report from the counts of `files`."""

    def __init__(self, files: Sequence[Scores], run_groups: Sequence[RunGroup], counts: SplitCounts) -> None:
        self.run_groups = run_groups
        self.counts = counts
        self.pairs = [paired_files(files, run_groups[0], group) for group in run_groups]
        self.same_networks = [same_networks(files, run_groups[0], group) for group in run_groups]
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
        estimates = [[e for i in group.files if (e := statistic.estimate(i)) is not None] for group in self.run_groups]
        cells: list[Cell | None] = []
        for group, own in zip(self.run_groups, estimates, strict=True):
            if len(own) < len(group.files):
                cells.append(None)
                continue
            values = [estimate.value for estimate in own]
            value = mean(values)
            interval = over_images_and_seeds(value, _interval_over_images(own), seed_variance([values]), lowest=0.0)
            cell = Cell(value, single(interval), own[0].classes, own[0].images, sample_deviation(values))
            if cells and cells[0] is not None:
                cell = replace(cell, gain=self._gain(statistic, len(cells), estimates[0], own))
            cells.append(cell)
        return replace(row, cells=tuple(cells))

    def _gain(self, statistic: Statistic, group: int, first: Sequence[Estimate], own: Sequence[Estimate]) -> Gain:
        """Return the gain of a run group over the first one, paired if all their files have the same rows."""
        columns = [[estimate.value for estimate in estimates] for estimates in (first, own)]
        seeds = seed_variance(columns, same_networks=self.same_networks[group])
        gain = mean(columns[1]) - mean(columns[0])
        error = statistic.paired_gain_error(self.run_groups[0].files, self.run_groups[group].files)
        if error is not None:
            ends = gain_interval(gain, error, seeds)
        else:
            intervals = [_interval_over_images(estimates) for estimates in (first, own)]
            over_images = unpaired_gain_interval(mean(columns[0]), intervals[0], mean(columns[1]), intervals[1])
            ends = over_images_and_seeds(gain, over_images, seeds, lowest=-1.0)
        return Gain(gain, single(ends), self.gain_spread(group, columns), paired=error is not None)

    def gain_spread(self, group: int, columns: Sequence[Sequence[Any]]) -> Any:
        """Return the sample standard deviation over seeds: of the gains by seed, or of independent columns.

        columns: the values of the files of the first run group, and of this one; numbers, or arrays of them
        """
        first, own = (dict(zip(self.run_groups[i].files, columns[i > 0], strict=True)) for i in (0, group))
        if self.pairs[group]:
            return sample_deviation([own[j] - first[i] for i, j in self.pairs[group]])
        spreads = [sample_deviation(values) for values in columns]
        return None if spreads[0] is None or spreads[1] is None else np.hypot(*spreads)


def _interval_over_images(estimates: Sequence[Estimate]) -> Interval:
    """Return the mean of the intervals of repeats, which is not narrower than that of their mean."""
    return mean(estimate.interval[0] for estimate in estimates), mean(estimate.interval[1] for estimate in estimates)


def sample_deviation(values: Sequence[Any]) -> Any:
    """Return the sample standard deviation of numbers, or of arrays; None for a single value."""
    return np.std(values, axis=0, ddof=1) if len(values) > 1 else None
