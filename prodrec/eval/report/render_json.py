"""A report as plain values for JSON, which the CSV writer uses as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodrec.eval.report.intervals import Interval
from prodrec.eval.report.table import Row

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report


def report_json(report: Report) -> dict[str, Any]:
    """Return the report with values in the unit of their row, percent or edges, and gains in points of this unit.

    A cell without an estimate is null. If photos were pooled, `images` are products. Rows of leaves are limited as in
    `Report.limited_rows`.
    """
    groups = report.run_groups
    return {
        "split": report.split,
        "unit": "percent",
        "confidence": 0.95,
        **({"pool_photos": True} if report.pool_photos else {}),
        "columns": [{"name": group.name, "runs": [report.runs[i] for i in group.files]} for group in groups],
        "rows": [
            {
                "section": row.section,
                "group": row.group,
                "level": row.level,
                "metric": row.metric,
                "top": row.top,
                "classes_in_all": row.total_classes,
                "unit": row.unit,
                "better": better_direction(row),
                "cells": {group.name: cell_json(row, i) for i, group in enumerate(groups)},
            }
            for row in report.limited_rows()
        ],
        "leaves_left_out": report.omitted_leaves,
        "notes": list(report.notes),
    }


def cell_json(row: Row, group: int) -> dict[str, Any] | None:
    """Return the cell of the run group with index `group`, in the unit of the row; None without a cell."""
    cell = row.cells[group]
    if cell is None:
        return None
    gain = cell.gain
    return {
        **_scaled(row.scale, cell.value, cell.interval, cell.spread),
        "classes": cell.classes,
        "images": cell.images,
        "gain": gain and {**_scaled(row.scale, gain.value, gain.interval, gain.spread), "paired": gain.paired},
    }


def better_direction(row: Row) -> str:
    """Return "lower" or "higher"."""
    return "lower" if row.lower_is_better else "higher"


def _scaled(scale: float, value: float, interval: Interval, spread: float | None) -> dict[str, float | None]:
    low, high = interval
    numbers = {"value": value, "low": low, "high": high, "spread": spread}
    return {name: None if number is None else round(scale * number, 4) for name, number in numbers.items()}
