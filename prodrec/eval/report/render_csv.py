"""A report as tidy CSV: a header, then one line for every cell."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING, TextIO

from prodrec.core.base import console
from prodrec.core.base.csv_cells import harmless
from prodrec.eval.report.count_scores import MIN_ROWS_FOR_PROGRESS
from prodrec.eval.report.render_json import better_direction, cell_json

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report

COLUMNS = (
    *("split", "section", "group", "level", "metric", "top", "classes", "classes_in_all", "images", "run"),
    *("value", "low", "high", "spread", "gain", "gain_low", "gain_high", "gain_spread", "paired", "unit", "better"),
)


def write_csv(report: Report, file: TextIO) -> None:
    """Write one line for every cell, with the rows of all leaves.

    Values are in the unit of their row, gains in points of this unit. A cell without an estimate has 0 classes and
    images, and its values are empty.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    total = len(report.rows) + len(report.leaf_rows)
    with console.progress("writing CSV", total=total, unit="rows", minimum=MIN_ROWS_FOR_PROGRESS) as advance:
        for row in chain(report.rows, report.leaf_rows):
            advance()
            for i, group in enumerate(report.run_groups):
                cell = cell_json(row, i) or {}
                gain = cell.get("gain") or {}
                values = (
                    [report.split, row.section, row.group, row.level, row.metric, row.top]
                    + [cell.get("classes", 0), row.total_classes, cell.get("images", 0), group.name]
                    + [cell.get(name) for name in ("value", "low", "high", "spread")]
                    + [gain.get(name) for name in ("value", "low", "high", "spread", "paired")]
                    + [row.unit, better_direction(row)]
                )
                writer.writerow([harmless(value) if isinstance(value, str) else value for value in values])
