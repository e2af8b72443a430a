"""The table of a report: each row is one statistic, with one cell for each run group.

A value is a fraction, such as 0.834 for 83.4 %. Every value has a 95 % interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prodrec.eval.report.intervals import Interval


@dataclass(frozen=True)
class Gain:
    """The difference from the first run group.

    interval: over images and, if a group has several runs, over seeds; see seed_intervals.py.
    spread:   sample standard deviation over seeds; None for single runs.
    paired:   whether both groups were evaluated on the same test images.
    """

    value: float
    interval: Interval
    spread: float | None
    paired: bool


@dataclass(frozen=True)
class Cell:
    """A statistic of one run group over `images` test images of `classes` classes.

    For repeats, `value` is the mean over the repeats, and `interval` covers images and seeds; see seed_intervals.py.
    `spread` is the sample standard deviation over repeats; None for a single run.
    """

    value: float
    interval: Interval
    classes: int
    images: int
    spread: float | None = None
    gain: Gain | None = None


@dataclass(frozen=True)
class Row:
    """One statistic of all run groups.

    section, group: where the report shows the row, such as "by root" and the name of a root.
    level:          the level or attribute that is evaluated.
    top:            the k of a top-k accuracy; 1 for other statistics.
    total_classes:  number of classes of the group, with and without test images.
    cells:          by run group; None if there is no test image, or if a run did not score the level or attribute.
    unit:           "percent" or "edges"; a cell's value times `scale` is in this unit.
    tested:         number of classes with test images and number of test images, whether scored or not.
    """

    section: str
    group: str
    level: str
    metric: str
    top: int
    total_classes: int
    cells: tuple[Cell | None, ...] = ()
    unit: str = "percent"
    scale: float = 100.0
    lower_is_better: bool = False
    tested: tuple[int, int] = (0, 0)

    @property
    def classes(self) -> int:
        """Number of tested classes in the first cell that is not None, else of the row."""
        return next((cell.classes for cell in self.cells if cell is not None), self.tested[0])

    @property
    def images(self) -> int:
        """Number of test images in the first cell that is not None, else of the row."""
        return next((cell.images for cell in self.cells if cell is not None), self.tested[1])


def largest_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """Return the `count` rows with the most test images, in descending order of images."""
    return sorted(rows, key=lambda row: -row.images)[:count]
