"""Plots of grouped bars with 95 % intervals, one bar for each run group, and functions shared with other plots.

The colours are those of Okabe and Ito, which colour-blind readers can tell apart. Every run group also has its own
hatch or marker.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prodrec.core.base.plot_style import new_figure, style_axes
from prodrec.eval.plots.style import DPI
from prodrec.eval.report.run_groups import RunGroup
from prodrec.eval.report.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "--", "++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_BARS = 54
"""Number of bars above which a panel is split."""
FEW_GROUPS = 12
"""Largest number of groups that are each at least 0.9 inches wide, which is enough for most names."""
CHARACTERS_PER_INCH = 12.5
"""Average number of characters per inch in the font of the axes."""


@dataclass(frozen=True)
class Panel:
    """One panel of bars.

    names:      name of each group of bars.
    rows:       row of the report for each group.
    run_groups: indices of the run groups to show.
    label:      label of the y axis.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Row]
    run_groups: Sequence[int]
    label: str


def draw_bars(panels: Sequence[Panel], run_groups: Sequence[RunGroup]) -> Figure:
    """Return a figure with the panels below each other. A run group has the same colour in all panels."""
    panels = [part for panel in panels for part in _split_panel(panel)]
    most_groups = max(len(panel.rows) for panel in panels)
    inches_per_group = max(0.28 + 0.115 * len(panel.run_groups) for panel in panels)
    inches = max(4.0, most_groups * max(inches_per_group, 0.9 if most_groups <= FEW_GROUPS else 0.5))
    characters = min(20, int(CHARACTERS_PER_INCH * inches / most_groups))
    names = [_wrap_names(panel.names, characters) for panel in panels]
    slanted = [wrapped is None for wrapped in names]
    height = sum(2.4 + 0.4 * is_slanted for is_slanted in slanted) + 0.7
    figure = new_figure((0.9 + inches, height), dpi=DPI)
    figure.set_layout_engine("constrained")
    all_axes = list(figure.subplots(len(panels), 1, squeeze=False, sharey=True)[:, 0])
    for axes, panel, wrapped in zip(all_axes, panels, names, strict=True):
        _draw_panel(axes, panel, run_groups)
        ticks = range(len(panel.names))
        if wrapped is None:
            axes.set_xticks(ticks, panel.names, rotation=30, ha="right", rotation_mode="anchor")
        else:
            axes.set_xticks(ticks, wrapped)
        axes.set_xlim(-0.6, most_groups - 0.4)
        axes.set_ylabel(panel.label)
        axes.set_title(panel.title, loc="left")
        style_percent_axis(axes)
    add_legend(figure, all_axes, run_groups)
    return figure


def _split_panel(panel: Panel) -> list[Panel]:
    """Split a panel with more than MOST_BARS bars into parts of about equal length. Only the first part has the title.

    A part consists of whole groups, and may therefore exceed MOST_BARS by less than one group.
    """
    count = math.ceil(len(panel.rows) * len(panel.run_groups) / MOST_BARS)
    step = math.ceil(len(panel.rows) / max(1, count))
    return [
        replace(
            panel,
            title=panel.title if start == 0 else "",
            names=panel.names[start : start + step],
            rows=panel.rows[start : start + step],
        )
        for start in range(0, len(panel.rows), step)
    ]


def _draw_panel(axes: Axes, panel: Panel, run_groups: Sequence[RunGroup]) -> None:
    width = 0.84 / len(panel.run_groups)
    for number, i in enumerate(panel.run_groups):
        offset = (number - (len(panel.run_groups) - 1) / 2) * width
        values, errors, rows = bar_values(panel.rows, i)
        axes.bar(
            np.array(rows) + offset, values, width, yerr=errors, color=COLOURS[i % 8],
            hatch=HATCHES[(i + i // 8) % 8], edgecolor="white", linewidth=0.4, label=run_groups[i].name,
            error_kw={"elinewidth": 0.8, "capsize": min(2.0, 9 * width), "capthick": 0.8, "ecolor": "#333333"},
        )  # fmt: skip
        narrow = width < 0.3
        for row in sorted(set(range(len(panel.rows))) - set(rows)):
            axes.text(
                row + offset, 1, "n/a", rotation=90 if narrow else 0, ha="center", va="bottom",
                fontsize=6 if narrow else 8, color="#555555",
            )  # fmt: skip


def bar_values(rows: Sequence[Row], run_group: int) -> tuple[list[float], NDArray[np.float64], list[int]]:
    """Return the values of a run group in percent, the lengths of their error bars, and the indices of their rows.

    Rows without a cell are skipped. The error bars are float64 [2, values]: the distances from the value down and up to
    the ends of its interval.
    """
    cells = [(index, cell) for index, row in enumerate(rows) if (cell := row.cells[run_group]) is not None]
    values = [100 * cell.value for _, cell in cells]
    below = [100 * max(0.0, cell.value - cell.interval[0]) for _, cell in cells]
    above = [100 * max(0.0, cell.interval[1] - cell.value) for _, cell in cells]
    return values, np.array([below, above]), [index for index, _ in cells]


def draw_points(
    axes: Axes,
    x: Sequence[float],
    values: Sequence[float],
    errors: ArrayLike,
    *,
    joined: Sequence[bool],
    colour: str,
    marker: str,
    linestyle: str = "-",
    label: str,
) -> None:
    """Draw points with their intervals, and a line between neighbours that are both `joined`.

    A point that depends on few observations jumps by chance, and a line to it would look like a trend.
    """
    axes.errorbar(
        x, values, yerr=errors, color=colour, marker=marker, markersize=5, linestyle="none", elinewidth=0.9,
        capsize=2.5, label=label,
    )  # fmt: skip
    for a, b in pairwise(range(len(x))):
        if joined[a] and joined[b]:
            axes.plot([x[a], x[b]], [values[a], values[b]], color=colour, linestyle=linestyle, linewidth=1.4)


def style_percent_axis(axes: Axes) -> None:
    """Show percentages from 0 to 100 on the y axis; the range leaves room for markers at 100."""
    axes.set_ylim(0, 101.5)
    axes.set_yticks(range(0, 101, 20))
    style_axes(axes, grid="y", color="#cccccc")


def add_legend(figure: Figure, all_axes: Sequence[Axes], run_groups: Sequence[RunGroup]) -> None:
    """Add a legend below the panels with the run groups that were drawn."""
    handle_of: dict[str, Any] = {}
    for axes in all_axes:
        handles, names = axes.get_legend_handles_labels()
        handle_of.update(zip(names, handles, strict=True))
    names = [group.name for group in run_groups if group.name in handle_of]
    longest = max(len(name) for name in names)
    columns = max(1, min(len(names), 8, int(figure.get_figwidth() * 12 / (longest + 7))))
    figure.legend(
        [handle_of[name] for name in names], names, loc="outside lower left", frameon=False, ncols=columns,
        title="lines: 95 % intervals", alignment="left", fontsize=8, title_fontsize=8,
    )  # fmt: skip


class _NameWrapper(textwrap.TextWrapper):
    """Breaks names at white space and after every hyphen and slash, also beside digits as in `resnet-50`."""

    wordsep_re = re.compile(r"(\s+|[^\s/-]*[/-]+)")


def _wrap_names(names: Sequence[str], characters: int) -> list[str] | None:
    """Return the names in at most three lines of `characters` each; None if one is too long for that."""
    wrapper = _NameWrapper(max(4, characters), break_long_words=False)
    wrapped = [wrapper.wrap(name) for name in names]
    if any(len(lines) > 3 or max(map(len, lines), default=0) > characters for lines in wrapped):
        return None
    return ["\n".join(lines) for lines in wrapped]
