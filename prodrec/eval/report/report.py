"""The report on runs: accuracies of groups of classes with intervals, and gains over the first run.

`evaluate.evaluate_scores` makes a report from score files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.report.leaf_groups import Thresholds
from prodrec.eval.report.leaf_table import MOST_LEAVES, LeafRows
from prodrec.eval.report.render_html import render_html
from prodrec.eval.report.render_json import report_json
from prodrec.eval.report.render_terminal import render_text
from prodrec.eval.report.row_builder import RowBuilder
from prodrec.eval.report.run_groups import RunGroup
from prodrec.eval.report.table import Row


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A comparison of runs on one split. `print(report)` shows its tables; notebooks show them as HTML.

    run_groups:     the columns; all others are compared with the first.
    rows:           all rows but those of single leaves.
    leaf_rows:      the rows of single leaves; empty unless they were requested.
    runs:           the score files, as plain values.
    notes:          facts without which the numbers may be misread, one sentence each.
    builder:        builds further rows from the same counts.
    taxonomy:       the classes of all runs.
    train_images_C: training images of every leaf, int64.
    thresholds:     numbers of training images that divide the leaves into head and tail.
    pool_photos:    whether an image of the report is a product, with the mean of the scores of its photos.
    """

    split: str
    run_groups: tuple[RunGroup, ...]
    rows: tuple[Row, ...]
    leaf_rows: LeafRows
    runs: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    builder: RowBuilder
    taxonomy: Taxonomy
    train_images_C: NDArray[np.int64]
    thresholds: Thresholds
    pool_photos: bool = False

    @property
    def units(self) -> str:
        """What the report counts: images, or products if their photos are pooled."""
        return "products" if self.pool_photos else "images"

    def limited_rows(self) -> Iterator[Row]:
        """Yield the rows, then the rows of the MOST_LEAVES leaves with the most test images, in class order."""
        yield from self.rows
        yield from self.leaf_rows.rows_at(sorted(self.leaf_rows.largest(MOST_LEAVES)))

    @property
    def omitted_leaves(self) -> int:
        """Number of leaves whose rows are missing in `limited_rows`."""
        return self.leaf_rows.omitted(MOST_LEAVES)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON; see `render_json.report_json`."""
        return report_json(self)

    def __str__(self) -> str:
        return render_text(self, width=console.width())

    def __repr__(self) -> str:
        names = ", ".join(group.name for group in self.run_groups)
        return f"<Report of {names} on the {self.split} split: {len(self.rows)} rows, {len(self.leaf_rows)} of leaves>"

    def _repr_html_(self) -> str:
        return render_html(self)
