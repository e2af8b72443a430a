"""A report as one Markdown table, in the style of the papers' tables."""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from prodrec.eval.report.row_text import (
    classes_text,
    format_signed,
    gain_text,
    images_text,
    metric_text,
    value_text,
)

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report


def write_markdown(report: Report, file: TextIO) -> None:
    """Write a table with the two smallest k in one cell: `83.41 (93.12) [82.6, 84.2]`.

    The interval and the gain are those of the smaller k.
    """
    tops = sorted({row.top for row in report.rows if row.section == "overall"})[:2]
    header = ["", "classes", report.units]
    for i, group in enumerate(report.run_groups):
        header += [escape_markdown(group.name), *(["gain"] if i else [])]
    top = f"top-{tops[0]}"
    second_top = f" (top-{tops[1]} in parentheses)" if len(tops) > 1 else ""
    lines = [
        f"Accuracy in percent on the {report.split} split: {top}{second_top}, [95 % interval of {top}].",
        "",
        "| " + " | ".join(header) + " |",
        "| --- | ---: | ---: |" + " --- |" * (len(header) - 3),
    ]
    rows = report.limited_rows()
    for _, same_metric in groupby(rows, key=lambda row: (row.section, row.group, row.level, row.metric)):
        by_top = {row.top: row for row in same_metric}
        first, second = by_top[min(by_top)], by_top.get(tops[-1]) if len(tops) > 1 else None
        metric = metric_text(first).removesuffix(f" {top}")  # named above the table
        name = first.metric if first.section == "overall" else f"{first.group}, {metric}"
        line = [escape_markdown(name), classes_text(first), images_text(first)]
        for i in range(len(first.cells)):
            cell = second.cells[i] if second is not None and second is not first else None
            line.append(_with_second(value_text(first, i), f"{100 * cell.value:.2f}" if cell else None))
            if i:
                gain = format_signed(100 * cell.gain.value, 2) if cell and cell.gain else None
                line.append(_with_second(gain_text(first, i), gain))
        lines.append("| " + " | ".join(line) + " |")
    notes = list(report.notes)
    if report.omitted_leaves:
        notes.append(
            f"{report.omitted_leaves:,} leaves with fewer {report.split} {report.units} are omitted; "
            "`--csv` writes all."
        )
    lines += ["", *(f"* {note}" for note in notes)]
    file.write("\n".join(lines).rstrip() + "\n")


def escape_markdown(text: str) -> str:
    """Return a name as Markdown shows it: without links, emphasis, HTML, or a second line."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", escape(one_line, quote=False))


def _with_second(text: str, second: str | None) -> str:
    """Insert the value of the second k in parentheses before the interval."""
    return text if second is None else text.replace(" [", f" ({second}) [", 1)
