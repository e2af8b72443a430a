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
from prodrec.eval.report.intervals import Interval, accuracy_intervals, paired_gain_intervals, unpaired_gain_interval
from prodrec.eval.report.row_builder import RowBuilder
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
    """The cells of one run group for every leaf at one k, with the gain over the first run group."""

    images_N: NDArray[np.int64]
    estimates: LeafEstimates
    gains: LeafEstimates | None
    paired: bool

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
                first = group_cells[0].estimates if group else None
                group_cells.append(self._group_cells(group, (self.taxonomy.leaf_level, top), first))
        return cells

    def _group_cells(self, group: int, criterion: Criterion, first: LeafEstimates | None) -> LeafCells:
        files = self.builder.run_groups[group].files
        images_N = self._files[files[0]].images_C[self.leaves]
        estimates = _mean([self._estimates(i, criterion) for i in files])
        if first is None:
            return LeafCells(images_N, estimates, None, paired=False)
        return LeafCells(images_N, estimates, *self._gains(group, criterion, first, estimates))

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
        self, group: int, criterion: Criterion, first: LeafEstimates, own: LeafEstimates
    ) -> tuple[LeafEstimates, bool]:
        """Return the gains over the first run group, and whether they are paired."""
        file_pairs, population, weights_11 = self.builder.pairs[group], self.builder.counts.all_rows, np.ones((1, 1))
        gain_N, spread_N = own.value_N - first.value_N, None
        if len(file_pairs) > 1:
            gains = [
                self._estimates(j, criterion).value_N - self._estimates(i, criterion).value_N for i, j in file_pairs
            ]
            spread_N = np.std(gains, axis=0, ddof=1)
        elif not file_pairs and first.spread_N is not None and own.spread_N is not None:
            spread_N = np.hypot(first.spread_N, own.spread_N)
        pairs = [population.pairs[pair] for pair in file_pairs if pair in population.pairs]
        with np.errstate(invalid="ignore", divide="ignore"):
            if file_pairs and len(pairs) == len(file_pairs) and all(criterion in pair.better for pair in pairs):
                counts = self._files[file_pairs[0][0]]
                share_N1 = counts.independent_share(self.leaves)[:, None]
                ends = [
                    paired_gain_intervals(
                        pair.better[criterion][self.leaves, None] * share_N1,
                        pair.worse[criterion][self.leaves, None] * share_N1,
                        counts.images_C[self.leaves, None] * share_N1,
                        weights_11,
                    )
                    for pair in pairs
                ]
                low_N, high_N = np.mean(ends, axis=0)
                return LeafEstimates(gain_N, low_N, high_N, spread_N), True
            low_N, high_N = unpaired_gain_interval(
                first.value_N, (first.low_N, first.high_N), own.value_N, (own.low_N, own.high_N)
            )
        return LeafEstimates(gain_N, low_N, high_N, spread_N), False


def _mean(repeats: Sequence[LeafEstimates]) -> LeafEstimates:
    """Return the means over repeats; NaN where one repeat has NaN."""
    value_N, low_N, high_N = (np.mean(parts, axis=0) for parts in zip(*(r[:3] for r in repeats), strict=True))
    spread_N = np.std([r.value_N for r in repeats], axis=0, ddof=1) if len(repeats) > 1 else None
    return LeafEstimates(value_N, low_N, high_N, spread_N)
