"""A report as an HTML table for notebooks. It needs no style sheet, script or font."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from prodrec.eval.report.row_text import gain_direction, gain_text, value_text
from prodrec.eval.report.shown_rows import hidden_row_notes, label_headers, labels, legend, shown_rows
from prodrec.eval.report.table import Row

if TYPE_CHECKING:
    from prodrec.eval.report.report import Report

STYLES = {"better": "color: #1a7f37", "worse": "color: #cf222e", "unclear": "opacity: 0.6", None: ""}
"""Style of a gain by its direction. Colour is never the only sign: the number has a sign too."""
LABEL_ALIGNMENT = ("left", "left", "right", "right")


def render_html(report: Report) -> str:
    """Return an HTML table of the rows that the terminal shows, with the legend and the notes below it."""
    groups = range(len(report.run_groups))
    headers = [*label_headers(report)]
    for i in groups:
        name = report.run_groups[i].name
        headers += [name, *([f"gain of {name}"] if i else [])]
    alignments = [*LABEL_ALIGNMENT, *["left"] * (len(headers) - len(LABEL_ALIGNMENT))]
    lines = ["<table>", "<thead><tr>" + "".join(map(_header, headers, alignments)) + "</tr></thead>", "<tbody>"]
    previous = None
    for row in shown_rows(report):
        if isinstance(row, str):
            lines.append(f'<tr><th colspan="{len(headers)}" style="text-align: left">{escape(row)}</th></tr>')
            continue
        group, *others = labels(row)
        same_group = (row.section, row.group) == previous
        cells = map(_cell, ["" if same_group else group.strip(), *others], LABEL_ALIGNMENT)
        lines.append(f"<tr>{''.join(cells)}{''.join(_group_cells(row, i) for i in groups)}</tr>")
        previous = (row.section, row.group)
    lines += [
        "</tbody>",
        "</table>",
        f"<p>{'<br>'.join(map(escape, [*legend(report), *hidden_row_notes(report)]))}</p>",
    ]
    if report.notes:
        lines.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in report.notes) + "</ul>")
    return "\n".join(["<div>", *lines, "</div>"])


def _group_cells(row: Row, group: int) -> str:
    """Return the value of a run group, and its gain unless it is the first group."""
    value = _cell(value_text(row, group), "left")
    return value + _cell(gain_text(row, group), "left", STYLES[gain_direction(row, group)]) if group else value


def _header(text: str, alignment: str) -> str:
    return f'<th style="text-align: {alignment}">{escape(text)}</th>'


def _cell(text: str, alignment: str, style: str = "") -> str:
    return f'<td style="text-align: {alignment}{"; " + style if style else ""}">{escape(text)}</td>'
