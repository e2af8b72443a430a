"""Rows of single leaves, of which there may be a million.

The estimates of all leaves are computed at once in arrays; rows are made only for the leaves that are read. A row
equals the one of RowBuilder for a group of one leaf (tests/eval/report/test_leaf_table.py).

Shapes: N leaves that have test images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.class_counts import ClassCounts, Criterion
from prodrec.eval.report.intervals import Interval, accuracy_intervals, paired_gain_errors, unpaired_gain_interval
from prodrec.eval.report.row_builder import RowBuilder, sample_deviation
from prodrec.eval.report.seed_intervals import gain_interval, over_images_and_seeds, seed_variance
from prodrec.eval.report.strata import ACC
from prodrec.eval.report.table import Cell, Gain, Row

SECTION = "by leaf"
MOST_LEAVES = 10_000
"""Number of leaves in JSON and Markdown, which are built in memory. CSV contains all: it is written line by line."""

Floats = NDArray[np.float64]


class LeafEstimates(NamedTuple):
    """Values of every leaf, the ends of their intervals, and their spread over repeats, float64 [N] each.

    NaN for a leaf without test images or scores; spread is None without repeats.
    """

    value_N: Floats
    low_N: Floats
    high_N: Floats
    spread_N: Floats | None

    def get(self, index: int) -> tuple[float, Interval, float | None] | None:
        """Return the value, interval and spread of one leaf; None for NaN."""
        if np.isnan(self.value_N[index]):
            return None
        spread = None if self.spread_N is None else float(self.spread_N[index])
        return float(self.value_N[index]), (float(self.low_N[index]), float(self.high_N[index])), spread


class LeafCells(NamedTuple):
    """The cells of one run group for every leaf at one k, with the gain over the first run group.

    repeats: the estimates of every file of the group.
    """

    images_N: NDArray[np.int64]
    estimates: LeafEstimates
    gains: LeafEstimates | None
    paired: bool
    repeats: list[LeafEstimates]

    def cell(self, index: int) -> Cell | None:
        """Return the cell of one leaf."""
        estimate, gain = self.estimates.get(index), self.gains and self.gains.get(index)
        if estimate is None:
            return None
        value, interval, spread = estimate
        return Cell(value, interval, 1, int(self.images_N[index]), spread, Gain(*gain, self.paired) if gain else None)


@dataclass(frozen=True, eq=False)
class LeafRows(Sequence[Row]):
    """The rows of the leaves with test images in any file, in the order of the classes; one row for each k in `tops`.

    There are no rows if `tops` is empty.
    """

    builder: RowBuilder
    taxonomy: Taxonomy
    tops: tuple[int, ...]

    @cached_property
    def leaves(self) -> NDArray[np.int64]:
        """Class indices of the leaves that have rows, int64 [N]."""
        leaves = slice(len(self.taxonomy.leaves))  # the other end classes are no leaves
        return np.flatnonzero(np.sum([counts.images_C[leaves] for counts in self._files], axis=0))

    def __len__(self) -> int:
        return len(self.leaves) * len(self.tops)

    def __iter__(self) -> Iterator[Row]:
        return self.rows_at(range(len(self.leaves)))

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        leaf, top = divmod(range(len(self))[index], len(self.tops))
        return self._row(leaf, self.tops[top])

    def largest(self, count: int) -> list[int]:
        """Return the positions in `leaves` of the `count` leaves with the most test images, in descending order."""
        images_N = self._files[0].images_C[self.leaves]
        return [int(index) for index in np.argsort(-images_N, kind="stable")[:count]]

    def omitted(self, count: int) -> int:
        """Return how many leaves are not among the `count` largest; 0 if no rows of leaves were requested."""
        return max(0, len(self.leaves) - count) if self.tops else 0

    def rows_at(self, positions: Sequence[int]) -> Iterator[Row]:
        """Yield the rows of the leaves at `positions` in `leaves`, every k of each."""
        return (self._row(index, top) for index in positions for top in self.tops)

    @property
    def _files(self) -> list[ClassCounts]:
        return self.builder.counts.all_rows.files

    def _row(self, index: int, top: int) -> Row:
        leaf, level = int(self.leaves[index]), self.taxonomy.leaf_level
        cells = tuple(cells.cell(index) for cells in self._cells[top])
        images = next(int(counts.images_C[leaf]) for counts in self._files if counts.images_C[leaf])
        return Row(SECTION, self.taxonomy.leaves[leaf], level, ACC, top, 1, cells, tested=(1, images))

    @cached_property
    def _cells(self) -> dict[int, list[LeafCells]]:
        """The cells of all run groups, by k."""
        cells: dict[int, list[LeafCells]] = {top: [] for top in self.tops}
        for top, group_cells in cells.items():
            for group in range(len(self.builder.run_groups)):
                first = group_cells[0].repeats if group else None
                group_cells.append(self._group_cells(group, (self.taxonomy.leaf_level, top), first))
        return cells

    def _group_cells(self, group: int, criterion: Criterion, first: list[LeafEstimates] | None) -> LeafCells:
        files = self.builder.run_groups[group].files
        images_N = self._files[files[0]].images_C[self.leaves]
        repeats = [self._estimates(i, criterion) for i in files]
        over_images = _mean(repeats)
        seeds = seed_variance([[repeat.value_N for repeat in repeats]])
        ends = over_images_and_seeds(over_images.value_N, over_images[1:3], seeds, lowest=0.0)
        estimates = over_images._replace(low_N=ends[0], high_N=ends[1])
        gains, paired = (None, False) if first is None else self._gains(group, criterion, first, repeats)
        return LeafCells(images_N, estimates, gains, paired, repeats)

    def _estimates(self, file: int, criterion: Criterion) -> LeafEstimates:
        counts, weights_11 = self._files[file], np.ones((1, 1))
        if criterion not in counts.correct:
            nan_N = np.full(len(self.leaves), np.nan)
            return LeafEstimates(nan_N, nan_N, nan_N, None)
        correct_N1, images_N1 = counts.correct[criterion][self.leaves, None], counts.images_C[self.leaves, None]
        share_N1 = counts.independent_share(self.leaves)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            low_N, high_N = accuracy_intervals(correct_N1 * share_N1, images_N1 * share_N1, weights_11)
            return LeafEstimates((correct_N1 / images_N1)[:, 0], low_N, high_N, None)

    def _gains(
        self, group: int, criterion: Criterion, first: Sequence[LeafEstimates], own: Sequence[LeafEstimates]
    ) -> tuple[LeafEstimates, bool]:
        """Return the gains over the first run group, given the estimates of all files, and whether they are paired."""
        builder = self.builder
        values = [[repeat.value_N for repeat in repeats] for repeats in (first, own)]
        seeds = seed_variance(values, same_networks=builder.same_networks[group])
        means = [_mean(repeats) for repeats in (first, own)]
        gain_N = means[1].value_N - means[0].value_N
        spread_N = builder.gain_spread(group, values)
        pair = builder.counts.all_rows.pairs.get((builder.run_groups[0].files, builder.run_groups[group].files))
        paired = pair is not None and criterion in pair.better
        with np.errstate(invalid="ignore", divide="ignore"):
            if pair is not None and paired:
                counts = self._files[builder.run_groups[0].files[0]]
                share_N1 = counts.independent_share(self.leaves)[:, None]
                error_N = paired_gain_errors(
                    pair.better[criterion][self.leaves, None] * share_N1,
                    pair.worse[criterion][self.leaves, None] * share_N1,
                    counts.images_C[self.leaves, None] * share_N1,
                    np.ones((1, 1)),
                )
                ends = gain_interval(gain_N, error_N, seeds)
            else:
                over_images = unpaired_gain_interval(means[0].value_N, means[0][1:3], means[1].value_N, means[1][1:3])
                ends = over_images_and_seeds(gain_N, over_images, seeds, lowest=-1.0)
        return LeafEstimates(gain_N, *ends, spread_N), paired


def _mean(repeats: Sequence[LeafEstimates]) -> LeafEstimates:
    """Return the means over repeats, with the mean of their intervals; NaN where one repeat has NaN."""
    value_N, low_N, high_N = (np.mean(parts, axis=0) for parts in zip(*(r[:3] for r in repeats), strict=True))
    return LeafEstimates(value_N, low_N, high_N, sample_deviation([r.value_N for r in repeats]))
