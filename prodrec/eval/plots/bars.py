"""Grouped bars with 95 % intervals, a bar a run, in panels below each other; and what every figure of a report shares.

Colours are Okabe and Ito's, safe for colour-blind readers, and every run has its own hatch or marker as well.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.eval.plots.style import new_figure
from prodrec.eval.report.cells import Row
from prodrec.eval.report.columns import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "--", "++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_BARS = 54
"""Bars in one line; more groups are continued in a further panel."""
FEW_GROUPS = 12
"""So many have room for their names beside each other."""
CHARACTERS_PER_INCH = 12.5
"""Of the axes' type."""


@dataclass(frozen=True)
class Panel:
    """Groups of bars: a row of the report and a name for each, under a title; the numbers of the columns to show."""

    title: str
    names: Sequence[str]
    rows: Sequence[Row]
    columns: Sequence[int]
    label: str


def draw_bars(panels: Sequence[Panel], columns: Sequence[Column]) -> Figure:
    """A figure of `panels`, long ones continued below; runs have the same colour in all of them."""
    lines = [line for panel in panels for line in _lines(panel)]
    most = max(len(panel.rows) for panel in lines)
    wide = max(0.28 + 0.115 * len(panel.columns) for panel in lines)
    inches = max(4.0, most * max(wide, 0.9 if most <= FEW_GROUPS else 0.5))
    fits = min(20, int(CHARACTERS_PER_INCH * inches / most))
    names = [_wrapped(panel.names, fits) for panel in lines]
    slanted = [wrapped is None for wrapped in names]
    figure = new_figure((0.9 + inches, sum(2.4 + 0.4 * lean for lean in slanted) + 0.7))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(lines), 1, squeeze=False, sharey=True)[:, 0]
    for axes, panel, wrapped in zip(grid, lines, names, strict=True):
        _draw(axes, panel, columns)
        places = range(len(panel.names))
        if wrapped is None:
            axes.set_xticks(places, panel.names, rotation=30, ha="right", rotation_mode="anchor")
        else:
            axes.set_xticks(places, wrapped)
        axes.set_xlim(-0.6, most - 0.4)
        axes.set_ylabel(panel.label)
        axes.set_title(panel.title, loc="left")
        finish(axes)
    legend(figure, list(grid), columns)
    return figure


def _lines(panel: Panel) -> list[Panel]:
    """The panel, cut where it has too many bars for one line."""
    count = math.ceil(len(panel.rows) * len(panel.columns) / MOST_BARS)
    step = math.ceil(len(panel.rows) / max(1, count))
    return [
        Panel(
            panel.title if not at else "",
            panel.names[at : at + step],
            panel.rows[at : at + step],
            panel.columns,
            panel.label,
        )
        for at in range(0, len(panel.rows), step)
    ]


def _draw(axes: Axes, panel: Panel, columns: Sequence[Column]) -> None:
    width = 0.84 / len(panel.columns)
    for place, i in enumerate(panel.columns):
        values, errors, known = values_of(panel.rows, i)
        at = np.array(known) + (place - (len(panel.columns) - 1) / 2) * width
        axes.bar(
            at, values, width, yerr=errors, color=COLOURS[i % 8], hatch=HATCHES[(i + i // 8) % 8], edgecolor="white",
            linewidth=0.4, label=columns[i].name,
            error_kw={"elinewidth": 0.8, "capsize": min(2.0, 9 * width), "capthick": 0.8, "ecolor": "#333333"},
        )  # fmt: skip
        absent = sorted(set(range(len(panel.rows))) - set(known))
        for group in absent:
            axes.text(
                group + (place - (len(panel.columns) - 1) / 2) * width, 1, "n/a", rotation=90 if width < 0.3 else 0,
                ha="center", va="bottom", fontsize=6 if width < 0.3 else 8, color="#555555",
            )  # fmt: skip


def values_of(rows: Sequence[Row], column: int) -> tuple[list[float], Any, list[int]]:
    """Percent, distances to the ends of the interval (2×rows), and the numbers of the rows that have a figure."""
    cells = [(at, cell) for at, row in enumerate(rows) if (cell := row.cells[column]) is not None]
    values = [100 * cell.value for _, cell in cells]
    below = [100 * max(0.0, cell.value - cell.interval[0]) for _, cell in cells]
    above = [100 * max(0.0, cell.interval[1] - cell.value) for _, cell in cells]
    return values, np.array([below, above]), [at for at, _ in cells]


def finish(axes: Axes) -> None:
    """Percent from 0 to 100 with faint lines, and no frame; what is at 100 is not cut."""
    axes.set_ylim(0, 101.5)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", linewidth=0.4, color="#cccccc")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Figure, grid: Sequence[Axes], columns: Sequence[Column]) -> None:
    """All runs that were drawn, once, in their order, below the panels."""
    drawn: dict[str, Any] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        drawn.update(zip(labels, handles, strict=True))
    names = [column.name for column in columns if column.name in drawn]
    longest = max(len(name) for name in names)
    across = max(1, min(len(names), 8, int(figure.get_figwidth() * 12 / (longest + 7))))
    figure.legend(
        [drawn[name] for name in names], names, loc="outside lower left", frameon=False, ncols=across,
        title="lines: 95 % intervals", alignment="left", fontsize=8, title_fontsize=8,
    )  # fmt: skip


def _wrapped(names: Sequence[str], fits: int) -> list[str] | None:
    """Names in at most three lines of `fits` characters; None where they are too long for that."""
    wrapped = [textwrap.wrap(name, max(4, fits), break_long_words=False) for name in names]
    if any(len(lines) > 3 or max(map(len, lines), default=0) > fits for lines in wrapped):
        return None
    return ["\n".join(lines) for lines in wrapped]
