"""The rows of single leaves, of which there may be a million: figures of all in arrays, rows made for those that are
looked at. The figures are those of `cells.Table` for a group of one leaf (tests/eval/test_leaves.py).

Shapes: n leaves that have test images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.cells import Cell, Gain, Row, Table
from prodrec.eval.report.counting import Question
from prodrec.eval.report.groups import ACC
from prodrec.eval.report.intervals import of_accuracies, of_paired_gains, of_unpaired_gain

SECTION = "by leaf"

Floats = NDArray[np.float64]


class Values(NamedTuple):
    """A figure of every leaf, NaN where there is none, the ends of its interval, and its spread over repeats."""

    value: Floats
    low: Floats
    high: Floats
    spread: Floats | None

    def of(self, at: int) -> tuple[float, tuple[float, float], float | None] | None:
        """Value, interval and spread of one leaf."""
        if np.isnan(self.value[at]):
            return None
        spread = None if self.spread is None else float(self.spread[at])
        return float(self.value[at]), (float(self.low[at]), float(self.high[at])), spread


class Figures(NamedTuple):
    """What a column says of every leaf at one k, and how much better that is than the first column."""

    images: NDArray[np.int64]
    values: Values
    gain: Values | None
    paired: bool

    def cell(self, at: int) -> Cell | None:
        """That of one leaf."""
        own, more = self.values.of(at), self.gain and self.gain.of(at)
        if own is None:
            return None
        value, interval, spread = own
        gain = Gain(*more, self.paired) if more else None
        return Cell(value, interval, 1, int(self.images[at]), spread, gain)


@dataclass(frozen=True, eq=False)
class LeafRows(Sequence[Row]):
    """A row for every leaf with test images in any file, in the order of the classes, and every k of `tops`."""

    table: Table
    taxonomy: Taxonomy
    tops: tuple[int, ...]

    @cached_property
    def leaves(self) -> NDArray[np.int64]:
        """int64 [n], which leaves have rows."""
        return np.flatnonzero(np.sum([tally.images for tally in self.table.counted.tallies], axis=0))

    def __len__(self) -> int:
        return len(self.leaves) * len(self.tops)

    def __iter__(self) -> Iterator[Row]:
        return self.rows_of(range(len(self.leaves)))

    def __getitem__(self, which: int) -> Row:  # type: ignore[override]
        at, top = divmod(range(len(self))[which], len(self.tops))
        return self._row(at, self.tops[top])

    def most(self, count: int) -> list[int]:
        """Positions in `leaves` of the `count` leaves with most test images, most first; of equal ones the first."""
        images_n = self.table.counted.tallies[0].images[self.leaves]
        return [int(at) for at in np.argsort(-images_n, kind="stable")[:count]]

    def left_out(self, count: int) -> int:
        """How many leaves do not stand among the `count` with most test images; 0 where no leaves are asked for."""
        return max(0, len(self.leaves) - count) if self.tops else 0

    def rows_of(self, places: Sequence[int]) -> Iterator[Row]:
        """The rows of some leaves, all k of each."""
        return (self._row(at, top) for at in places for top in self.tops)

    def _row(self, at: int, top: int) -> Row:
        leaf, level = int(self.leaves[at]), self.taxonomy.leaf_level
        cells = tuple(figures.cell(at) for figures in self._figures[top])
        images = next(int(t.images[leaf]) for t in self.table.counted.tallies if t.images[leaf])
        return Row(SECTION, self.taxonomy.leaves[leaf], level, ACC, top, 1, cells, judged=(1, images))

    @cached_property
    def _figures(self) -> dict[int, list[Figures]]:
        """By k, of every column."""
        found: dict[int, list[Figures]] = {top: [] for top in self.tops}
        for top, figures in found.items():
            for column in range(len(self.table.columns)):
                first = figures[0].values if column else None
                figures.append(self._figures_of(column, (self.taxonomy.leaf_level, top), first))
        return found

    def _figures_of(self, column: int, question: Question, first: Values | None) -> Figures:
        files = self.table.columns[column].files
        images_n = self.table.counted.tallies[files[0]].images[self.leaves]
        values = _mean([self._share(i, question) for i in files])
        if first is None:
            return Figures(images_n, values, None, paired=False)
        return Figures(images_n, values, *self._gain(column, question, first, values))

    def _share(self, file: int, question: Question) -> Values:
        tally, ones = self.table.counted.tallies[file], np.ones((1, 1))
        if question not in tally.right:
            nothing = np.full(len(self.leaves), np.nan)
            return Values(nothing, nothing, nothing, None)
        right_n1, images_n1 = tally.right[question][self.leaves, None], tally.images[self.leaves, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = of_accuracies(right_n1, images_n1, ones)
            return Values((right_n1 / images_n1)[:, 0], low, high, None)

    def _gain(self, column: int, question: Question, first: Values, own: Values) -> tuple[Values, bool]:
        """The gain over the first column, and whether it is paired."""
        pairs, counted, ones = self.table.pairs[column], self.table.counted, np.ones((1, 1))
        value, spread = own.value - first.value, None
        if len(pairs) > 1:
            gains = [self._share(j, question).value - self._share(i, question).value for i, j in pairs]
            spread = np.std(gains, axis=0, ddof=1)
        elif not pairs and first.spread is not None and own.spread is not None:
            spread = np.hypot(first.spread, own.spread)
        judged = [counted.pairs[pair] for pair in pairs if pair in counted.pairs]
        with np.errstate(invalid="ignore", divide="ignore"):
            if pairs and len(judged) == len(pairs) and all(question in pair.better for pair in judged):
                images_n1 = counted.tallies[pairs[0][0]].images[self.leaves, None]
                moves = [(p.better[question][self.leaves, None], p.worse[question][self.leaves, None]) for p in judged]
                ends = [of_paired_gains(better, worse, images_n1, ones) for better, worse in moves]
                low, high = np.mean(ends, axis=0)
                return Values(value, low, high, spread), True
            low, high = of_unpaired_gain(first.value, (first.low, first.high), own.value, (own.low, own.high))
        return Values(value, low, high, spread), False


def leaf_notes(rows: LeafRows, split: str) -> list[str]:
    """How many leaves have no row."""
    without = len(rows.taxonomy.leaves) - len(rows.leaves)
    return [f"{without:,} leaves without {split} images are not listed by leaf."] if without else []


def _mean(files: Sequence[Values]) -> Values:
    """Over repeats; nothing where one of them has nothing."""
    value, low, high = (np.mean(parts, axis=0) for parts in zip(*(f[:3] for f in files), strict=True))
    spread = np.std([f.value for f in files], axis=0, ddof=1) if len(files) > 1 else None
    return Values(value, low, high, spread)
