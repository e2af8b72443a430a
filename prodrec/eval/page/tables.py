"""The tables of the page: the sections of a report, with the texts that the terminal shows."""

from __future__ import annotations

from typing import Any

from prodrec.eval.report.report import Report
from prodrec.eval.report.row_text import gain_direction, gain_text, value_text
from prodrec.eval.report.shown_rows import label_headers, labels, shown_rows
from prodrec.eval.report.table import Row

TITLES = {
    "overall": "All images",
    "head and tail": "Head and tail, by training images of the leaf",
    "many, medium, few": "Many, medium and few training images",
    "by root": "Roots of the category tree",
    "by level": "Levels of the category tree",
    "hierarchy": "The tree: full paths, contradictions, and the distance of mistakes",
    "by attribute": "Attributes",
}
"""The captions of the tables by section."""


def table_contents(report: Report) -> list[dict[str, Any]]:
    """Return the sections of a report as tables of texts."""
    tables: list[dict[str, Any]] = []
    for row in shown_rows(report):
        section = row if isinstance(row, str) else row.section
        if not tables or tables[-1]["section"] != section:
            tables.append({"section": section, "title": TITLES.get(section, section), "rows": []})
        if isinstance(row, Row):
            tables[-1]["rows"].append(_row(row, report))
    return [{**table, "counted": label_headers(report)[2:]} for table in tables if table["rows"]]


def _row(row: Row, report: Report) -> dict[str, Any]:
    group, metric, classes, images = labels(row)
    cells = [
        {
            "value": value_text(row, i),
            "gain": gain_text(row, i) if i and row.cells[0] is not None and row.cells[i] is not None else "",
            "direction": gain_direction(row, i) if i else None,
        }
        for i in range(len(report.run_groups))
    ]
    return {"group": group.strip(), "metric": metric, "counts": [classes, images], "cells": cells}
