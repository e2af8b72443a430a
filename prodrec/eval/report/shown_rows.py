"""Selection of the rows that are shown to people, in the terminal and as HTML, and the text around the tables."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from prodrec.eval.report import leaf_table
from prodrec.eval.report.row_text import classes_text, images_text, metric_text
from prodrec.eval.report.table import Row, largest_rows

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report

OVERALL, BY_ROOT = "overall", "by root"
MOST_GROUPS = {leaf_table.SECTION: 60, BY_ROOT: 200}
"""Largest number of groups shown, by section, those with the most test images. Other sections show all groups."""
MOST_TOPS = {OVERALL: 99, "head and tail": 2}
"""Largest number of k shown, by section, the smallest k first. Other sections show one."""


def shown_rows(report: Report) -> list[Row | str]:
    """Return the rows to show, with the name of each section but the first before its rows."""
    shown: list[Row | str] = []
    for section, section_rows in groupby(report.rows, key=lambda row: row.section):
        rows = list(section_rows)
        tops = sorted({row.top for row in rows})[: MOST_TOPS.get(section, 1)]
        rows = [row for row in rows if row.top in tops]
        groups = list(dict.fromkeys(row.group for row in largest_rows(rows, len(rows))))
        shown_groups = set(groups[: MOST_GROUPS.get(section, len(groups))])
        shown += [] if section == OVERALL else [section]
        shown += [row for row in rows if row.group in shown_groups]
    leaves = report.leaf_rows
    rows = [row for row in leaves.rows_at(leaves.largest(MOST_GROUPS[leaf_table.SECTION])) if row.top == leaves.tops[0]]
    return shown + ([leaf_table.SECTION, *rows] if rows else [])


def hidden_roots(report: Report) -> int:
    """Return the number of roots that are not shown."""
    groups = {row.group for row in report.rows if row.section == BY_ROOT}  # with the mean over roots
    return max(0, len(groups) - MOST_GROUPS[BY_ROOT])


def hidden_leaves(report: Report) -> int:
    """Return the number of leaves that are not shown."""
    return report.leaf_rows.omitted(MOST_GROUPS[leaf_table.SECTION])


def label_headers(report: Report) -> tuple[str, str, str, str]:
    """Return the headers of the columns that `labels` fills."""
    return f"{report.split} split", "percent", "classes", report.units


def labels(row: Row | str) -> tuple[str, str, str, str]:
    """Return the group, metric, classes and images of a row, or the name of a section."""
    if isinstance(row, str):
        return row, "", "", ""
    group = row.group if row.section == OVERALL else f"  {row.group}"
    return group, metric_text(row), classes_text(row), images_text(row)


def legend(report: Report) -> list[str]:
    """Return the lines that explain the numbers of the tables."""
    repeats = any(len(group.files) > 1 for group in report.run_groups)
    lines = ["[95 % interval]" + ("; ± sample standard deviation over seeds" if repeats else "")]
    if len(report.run_groups) > 1:
        edges = " (edges where values are)" if any(row.unit == "edges" for row in report.rows) else ""
        lines.append(f"gains are percentage points{edges} over {report.run_groups[0].name}")
    return lines


def hidden_row_notes(report: Report) -> list[str]:
    """Return a line on the roots and a line on the leaves that are not shown."""
    roots, leaves = hidden_roots(report), hidden_leaves(report)
    lines = [f"{roots:,} more roots are not shown."] if roots else []
    return lines + ([f"{leaves:,} more leaves are not shown."] if leaves else [])
