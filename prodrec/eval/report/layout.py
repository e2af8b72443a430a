"""A report as text: tables for the terminal, Markdown like the papers' tables, and tidy CSV.

Percent with two decimals (edges with three), [95 % interval], ± sample standard deviation over seeds; gains in
percentage points (or edges).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from prodrec.core.base import console
from prodrec.eval.report import attributes, structure
from prodrec.eval.report.cells import Cell, Row, most_images
from prodrec.eval.report.counting import MANY_ROWS
from prodrec.eval.report.groups import MACC, MACRO
from prodrec.eval.report.leaves import SECTION
from prodrec.eval.report.report import MOST_LEAVES, Report, cell_json

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "n/a"
GAP = 2
"""Spaces between the columns of the terminal's tables."""
MOST_SHOWN = {SECTION: 60, "by root": 200}
"""Groups of a section that stand in the terminal, those with most test images."""
DIGITS = {"percent": (2, 1), "edges": (3, 3)}
"""Decimals of a value, and of the ends of its interval."""
TOPS_SHOWN = {"overall": 99, "head and tail": 2}
"""How many of the top-k of a section stand in the terminal (others: the first); CSV and JSON hold all."""

TOP_1_SECTIONS = (attributes.SECTION, structure.SECTION)

CSV_COLUMNS = (
    *("split", "section", "group", "level", "metric", "top", "classes", "classes_in_all", "images", "run"),
    *("value", "low", "high", "spread", "gain", "gain_low", "gain_high", "gain_spread", "paired", "unit", "better"),
)


@dataclass(frozen=True)
class Form:
    """How tables look: gains beside values or below them; intervals on lines of their own; columns on the left."""

    beside: bool
    broken: bool
    about: int

    def lines(self, text: str) -> str:
        return text.replace(" [", "\n[") if self.broken else text


FORMS = (Form(True, False, 4), Form(False, False, 4), Form(False, True, 4), Form(False, True, 2))
"""From the widest to the narrowest, which has no room for classes and images."""


def value_text(cell: Cell | None, *, unit: str = "percent", scale: float = 100.0) -> str:
    """`83.41 [82.61, 84.19]`, with ± for repeats."""
    if cell is None:
        return ABSENT
    digits, of_ends = DIGITS[unit]
    spread = "" if cell.spread is None else f" ± {scale * cell.spread:.{digits}f}"
    low, high = (f"{scale * end:.{of_ends}f}" for end in cell.interval)
    return f"{scale * cell.value:.{digits}f}{spread} [{low}, {high}]"


def gain_text(cell: Cell | None, *, unit: str = "percent", scale: float = 100.0) -> str:
    """`+0.61 [+0.10, +1.12]`, with ± for repeats; empty where there is no gain."""
    if cell is None or cell.gain is None:
        return "" if cell is not None else ABSENT
    gain, (digits, of_ends) = cell.gain, DIGITS[unit]
    spread = "" if gain.spread is None else f" ± {scale * gain.spread:.{digits}f}"
    low, high = (_signed(scale * end, of_ends) for end in gain.interval)
    return f"{_signed(scale * gain.value, digits)}{spread} [{low}, {high}]"


def value_of(row: Row, column: int) -> str:
    """The value of a column in the unit of its row."""
    return value_text(row.cells[column], unit=row.unit, scale=row.scale)


def gain_of(row: Row, column: int) -> str:
    """The gain of a column but the first; n/a also where the first column has no figure to compare with."""
    return gain_text(row.cells[column], unit=row.unit, scale=row.scale) or ABSENT


def tables(report: Report, *, width: int) -> list[Table]:
    """Tables for a terminal of `width` columns, in the first form of FORMS in which the first two runs fit.

    Runs that do not fit are continued in further tables, each beginning with the first run.
    """
    from rich.cells import cell_len

    rows, numbers = _shown_rows(report), range(len(report.columns))
    left = [max(map(cell_len, texts)) for texts in zip(_heads(report), *map(_about, _with_sections(rows)), strict=True)]
    for form in FORMS:
        room = width - sum(left[: form.about]) - GAP * form.about - 2
        texts = [[text for row in rows for text in (value_of(row, i), gain_of(row, i))] for i in numbers]
        if form.broken:
            texts = [[part for text in own for part in text.split(" [")] for own in texts]
        widths = [max(map(cell_len, own)) + int(form.broken) + GAP for own in texts]
        if form.beside and sum(widths) + sum(widths[1:]) <= room:
            return [_table(report, rows, numbers, form)]
        fit = room // max(widths)
        if not form.beside and fit >= min(2, len(numbers)):
            break
    others, step = list(numbers[1:]), max(1, fit - 1)
    cuts = [others[at : at + step] for at in range(0, len(others), step)] or [[]]
    return [_table(report, rows, [0, *cut], form) for cut in cuts]


def _table(report: Report, rows: Sequence[Row], columns: Sequence[int], form: Form) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for name, justify in list(zip(_heads(report), ("left", "left", "right", "right"), strict=True))[: form.about]:
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for i in columns:
        table.add_column(report.columns[i].name, overflow="fold")
    for i in columns[1:] if form.beside else ():
        table.add_column("gain" if len(columns) == 2 else f"gain of {report.columns[i].name}", overflow="fold")
    before = None
    for row in _with_sections(rows):
        if isinstance(row, str):
            table.add_section()
            table.add_row(Text(row, style="bold"))
            continue
        values = [Text(form.lines(value_of(row, i))) for i in columns]
        gains = [Text(form.lines(gain_of(row, i)), style=_style(row, i)) for i in columns[1:]]
        if not form.beside:
            told = [[v, g] if g.plain != ABSENT else [v] for v, g in zip(values[1:], gains, strict=True)]
            values[1:] = [Text("\n").join(texts) for texts in told]
            gains = []
        group, *others = _about(row)[: form.about]
        table.add_row("" if (row.section, row.group) == before else group, *others, *values, *gains)
        before = (row.section, row.group)
    if form.about < len(_heads(report)):
        table.caption, table.caption_justify = "Classes and images: in a wider terminal, --csv and --json.", "left"
    return table


def _heads(report: Report) -> tuple[str, str, str, str]:
    return f"{report.split} split", "percent", "classes", "images"


def _about(row: Row | str) -> tuple[str, str, str, str]:
    """What stands left of the figures."""
    if isinstance(row, str):
        return row, "", "", ""
    group = row.group if row.section == "overall" else f"  {row.group}"
    return group, _metric(row), _classes(row), _images(row)


def _with_sections(rows: Sequence[Row]) -> list[Row | str]:
    """The rows, with the name of every section but the first before it."""
    found: list[Row | str] = []
    for section, members in groupby(rows, key=lambda row: row.section):
        found += [] if section == "overall" else [section]
        found += members
    return found


def write_markdown(report: Report, file: TextIO) -> None:
    """One table: top-k of the two smallest k as `83.41 (93.12)`, interval and gain of the first."""
    tops = sorted({row.top for row in report.rows if row.section == "overall"})[:2]
    heads = ["", "classes", "images"]
    for i, column in enumerate(report.columns):
        heads += [_escaped(column.name), *(["gain"] if i else [])]
    top = f" top-{tops[0]}"  # stands above the table
    second = f" (top-{tops[1]} in parentheses)" if len(tops) > 1 else ""
    lines = [
        f"Accuracy in percent on the {report.split} split: top-{tops[0]}{second}, [95 % interval of top-{tops[0]}].",
        "",
        "| " + " | ".join(heads) + " |",
        "| --- | ---: | ---: |" + " --- |" * (len(heads) - 3),
    ]
    rows = report.all_rows(MOST_LEAVES)
    for _, members in groupby(rows, key=lambda row: (row.section, row.group, row.level, row.metric)):
        by_top = {row.top: row for row in members}
        first, other = by_top[min(by_top)], by_top.get(tops[-1]) if len(tops) > 1 else None
        name = first.metric if first.section == "overall" else f"{first.group}, {_metric(first).removesuffix(top)}"
        line = [_escaped(name), _classes(first), _images(first)]
        for i in range(len(first.cells)):
            beside = other.cells[i] if other is not None and other is not first else None
            line.append(_beside(value_of(first, i), f"{100 * beside.value:.2f}" if beside else None))
            if i:
                more = _signed(100 * beside.gain.value, 2) if beside and beside.gain else None
                line.append(_beside(gain_of(first, i), more))
        lines.append("| " + " | ".join(line) + " |")
    fewer = report.leaves.left_out(MOST_LEAVES)
    left = [f"{fewer:,} leaves with fewer {report.split} images are left out; `--csv` writes all."] if fewer else []
    lines += ["", *(f"* {note}" for note in [*report.notes, *left])]
    file.write("\n".join(lines).rstrip() + "\n")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _beside(text: str, more: str | None) -> str:
    """`83.41 (93.12) [82.6, 84.2]`: the figure of a further k in parentheses."""
    return text if more is None else text.replace(" [", f" ({more}) [", 1)


def write_csv(report: Report, file: TextIO) -> None:
    """One line for every figure of every run; in its unit, gains in points of it; empty where there is nothing."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    total = len(report.rows) + len(report.leaves)
    with console.progress("writing CSV", total=total, unit="figures", least=MANY_ROWS) as advance:
        for row in report.all_rows(len(report.leaves.leaves)):
            advance()
            for column, cell in zip(report.columns, row.cells, strict=True):
                found = cell_json(cell, row) or {}
                gain = found.get("gain") or {}
                about = [report.split, row.section, row.group, row.level, row.metric, row.top]
                writer.writerow(
                    [*about, found.get("classes", 0), row.classes_in_all, found.get("images", 0), column.name]
                    + [found.get(name) for name in ("value", "low", "high", "spread")]
                    + [gain.get(name) for name in ("value", "low", "high", "spread", "paired")]
                    + [row.unit, "lower" if row.lower_is_better else "higher"]
                )


def _shown_rows(report: Report) -> list[Row]:
    """The rows for the terminal: all figures of the whole, the first k of the rest, and not all of many leaves."""
    shown: list[Row] = []
    for section, members in groupby(report.rows, key=lambda row: row.section):
        rows = list(members)
        tops = sorted({row.top for row in rows})[: TOPS_SHOWN.get(section, 1)]
        kept = [row for row in rows if row.top in tops]
        groups = dict.fromkeys(row.group for row in most_images(kept, len(kept)))
        few = set(list(groups)[: MOST_SHOWN.get(section, len(groups))])
        shown += [row for row in kept if row.group in few]
    leaves = report.leaves.rows_of(report.leaves.most(MOST_SHOWN[SECTION]))
    return shown + [row for row in leaves if row.top == report.leaves.tops[0]]


def left_out(report: Report) -> list[str]:
    """What of many does not stand in the terminal's tables, and where it does."""
    roots = len({row.group for row in report.rows if row.section == "by root"}) - MOST_SHOWN["by root"]
    told = [f"{roots:,} more roots stand in --csv and --json."] if roots > 0 else []
    leaves, not_in_json = (report.leaves.left_out(count) for count in (MOST_SHOWN[SECTION], MOST_LEAVES))
    where = f"--csv, {leaves - not_in_json:,} of them in --json" if not_in_json else "--csv and --json"
    return [*told, f"{leaves:,} more leaves stand in {where}."] if leaves else told


def _metric(row: Row) -> str:
    """`MACC top-1`; sections that only ask for the best class leave the top-1 out."""
    metric = MACC if row.metric == MACRO else row.metric
    return metric if row.section in TOP_1_SECTIONS else f"{metric} top-{row.top}"


def _classes(row: Row) -> str:
    judged = next((cell.classes for cell in row.cells if cell is not None), row.judged[0])
    return f"{judged:,}" if judged == row.classes_in_all else f"{judged:,} of {row.classes_in_all:,}"


def _images(row: Row) -> str:
    """Test images, or from how few to how many where the runs have other rows or other mistakes."""
    images = [cell.images for cell in row.cells if cell is not None] or [row.judged[1]]
    return f"{images[0]:,}" if len(set(images)) == 1 else f"{min(images):,}–{max(images):,}"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text if float(text) else text.replace("-", "+")


def _style(row: Row, column: int) -> str:
    """Green for better and red for worse where the interval leaves zero out; never colour alone, the sign says so."""
    cell = row.cells[column]
    if cell is None or cell.gain is None:
        return ""
    low, high = cell.gain.interval
    if low <= 0 <= high:
        return "dim"
    return "green" if (low > 0) != row.lower_is_better else "red"
