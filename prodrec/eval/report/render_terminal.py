"""A report as tables for a terminal, and as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from prodrec.eval.report.row_text import NOT_AVAILABLE, gain_direction, gain_text, value_text
from prodrec.eval.report.shown_rows import (
    hidden_leaves,
    hidden_roots,
    hidden_row_notes,
    label_headers,
    labels,
    legend,
    shown_rows,
)
from prodrec.eval.report.table import Row

if TYPE_CHECKING:
    from rich.table import Table

    from prodrec.eval.report.report import Report

GAP = 2
"""Spaces between columns."""
MARGIN = 2
"""Characters that a table of rich needs besides its columns."""
STYLES = {"better": "green", "worse": "red", "unclear": "dim", None: ""}
"""Style of a gain by its direction. Colour is never the only sign: the number has a sign too."""


@dataclass(frozen=True)
class TableLayout:
    """How a table uses its width.

    gains_beside:    whether a gain has its own column; otherwise it is below its value.
    intervals_below: whether an interval has its own line.
    label_columns:   number of columns to the left of the values: 4, or 2 without classes and images.
    """

    gains_beside: bool
    intervals_below: bool
    label_columns: int

    def wrap(self, text: str) -> str:
        """Return `text`, with its interval on a line of its own if `intervals_below` is set."""
        return text.replace(" [", "\n[") if self.intervals_below else text


LAYOUTS = (
    TableLayout(gains_beside=True, intervals_below=False, label_columns=4),
    TableLayout(gains_beside=False, intervals_below=False, label_columns=4),
    TableLayout(gains_beside=False, intervals_below=True, label_columns=4),
    TableLayout(gains_beside=False, intervals_below=True, label_columns=2),
)
"""From the widest to the narrowest."""


def terminal_tables(report: Report, *, width: int) -> list[Table]:
    """Return tables for a terminal of `width` characters.

    They have the first of LAYOUTS in which at least two run groups fit. Run groups that do not fit are continued in
    further tables, each with the first run group at its beginning.
    """
    from rich.cells import cell_len

    rows, groups = shown_rows(report), range(len(report.run_groups))
    label_widths = [max(map(cell_len, texts)) for texts in zip(label_headers(report), *map(labels, rows), strict=True)]
    for layout in LAYOUTS:
        count = layout.label_columns
        room = width - sum(label_widths[:count]) - GAP * count - MARGIN
        widths = [max(map(cell_len, _cell_lines(rows, i, layout))) + int(layout.intervals_below) + GAP for i in groups]
        if layout.gains_beside and sum(widths) + sum(widths[1:]) <= room:
            return [_table(report, rows, groups, layout)]
        fitting = room // max(widths)
        if not layout.gains_beside and fitting >= min(2, len(groups)):
            break
    others, step = list(groups[1:]), max(1, fitting - 1)
    parts = [others[start : start + step] for start in range(0, len(others), step)] or [[]]
    return [_table(report, rows, [0, *part], layout) for part in parts]


def _cell_lines(rows: Sequence[Row | str], group: int, layout: TableLayout) -> list[str]:
    """Return every line of text in the column of a run group."""
    texts = [
        text for row in rows if not isinstance(row, str) for text in (value_text(row, group), gain_text(row, group))
    ]
    return [line for text in texts for line in text.split(" [")] if layout.intervals_below else texts


def _table(report: Report, rows: Sequence[Row | str], groups: Sequence[int], layout: TableLayout) -> Table:
    """Return a table of the run groups with the indices `groups`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    headers = list(zip(label_headers(report), ("left", "left", "right", "right"), strict=True))
    for name, justify in headers[: layout.label_columns]:
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for i in groups:
        table.add_column(report.run_groups[i].name, overflow="fold")
    for i in groups[1:] if layout.gains_beside else ():
        table.add_column("gain" if len(groups) == 2 else f"gain of {report.run_groups[i].name}", overflow="fold")
    previous = None
    for row in rows:
        if isinstance(row, str):
            table.add_section()
            table.add_row(Text(row, style="bold"))
            continue
        values = [Text(layout.wrap(value_text(row, i))) for i in groups]
        gains = [Text(layout.wrap(gain_text(row, i)), style=STYLES[gain_direction(row, i)]) for i in groups[1:]]
        if not layout.gains_beside:
            values[1:] = [
                Text("\n").join([value, gain] if gain.plain != NOT_AVAILABLE else [value])
                for value, gain in zip(values[1:], gains, strict=True)
            ]
            gains = []
        group, *others = labels(row)[: layout.label_columns]
        table.add_row("" if (row.section, row.group) == previous else group, *others, *values, *gains)
        previous = (row.section, row.group)
    if layout.label_columns < len(headers):
        table.caption, table.caption_justify = "Classes and images: in a wider terminal, --csv and --json.", "left"
    return table


def hidden_row_hints(report: Report) -> list[str]:
    """Return one line on roots and one on leaves that the tables do not show: which options write them."""
    roots, leaves, not_in_json = hidden_roots(report), hidden_leaves(report), report.omitted_leaves
    lines = [f"{roots:,} more roots are in --csv and --json."] if roots else []
    place = f"--csv, {leaves - not_in_json:,} of them in --json" if not_in_json else "--csv and --json"
    return lines + ([f"{leaves:,} more leaves are in {place}."] if leaves else [])


def render_text(report: Report, *, width: int) -> str:
    """Return the tables, their legend and the notes as plain text."""
    from rich.console import Console

    stream = StringIO()
    console = Console(file=stream, width=width, color_system=None, highlight=False)
    for table in terminal_tables(report, width=width):
        console.print(table)
    tables = "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
    return "\n".join([tables.strip("\n"), "", *legend(report), *hidden_row_notes(report), *report.notes])
