"""Figures of a report as SVG and PNG: MACC of every root (S fig. 5), and MACC along the long tail.

Colours are Okabe and Ito's, safe for colour-blind readers, and every run has its own hatch or marker as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.eval.cells import Row
from prodrec.eval.drawing import drawing_style, new_figure, save
from prodrec.eval.groups import MACC, MACRO, Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prodrec.eval.report import Report

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "--", "++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
TAIL_BINS = (0, 1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
MOST_ROOTS_UPRIGHT = 14


def figure_paths(directory: Path, report: Report) -> list[Path]:
    """The files that `draw_figures` writes; a tree of one level has no roots to draw."""
    names = ["by-training-images", *(["by-root"] if report.taxonomy.depth > 1 else [])]
    return [directory / f"{name}.{kind}" for name in names for kind in ("svg", "png")]


def draw_figures(report: Report, directory: Path, *, force: bool = False) -> list[Path]:
    """Draw `report` into `directory`; the files written. Raises OutputExists."""
    paths = figure_paths(directory, report)
    figures: dict[str, Figure] = {}
    with drawing_style():
        for path in paths:
            draw = draw_tail if path.stem == "by-training-images" else draw_roots
            figure = figures.get(path.stem) or figures.setdefault(path.stem, draw(report))
            save(figure, path, kind="report", force=force)
    return paths


def draw_roots(report: Report) -> Figure:
    """Grouped bars: MACC inside every root and its mean over roots, with 95 % intervals (S fig. 5)."""
    taxonomy, leaf = report.taxonomy, report.taxonomy.leaf_level
    root_C = report.table.ancestors_CL[:, 0]
    depth = taxonomy.depth - 1
    everything = np.arange(len(root_C))
    rows = [
        *_rows(
            report,
            [
                Group("", name, leaf, depth, everything[root_C == r], (MACC,))
                for r, name in enumerate(taxonomy.names[0])
            ],
        ),
        *_rows(report, [Group("", "mean over roots", leaf, depth, everything, (MACRO,))]),
    ]
    names = [row.group for row in rows]
    places = np.arange(len(rows), dtype=float)
    places[-1] += 0.4
    lying = len(rows) > MOST_ROOTS_UPRIGHT
    size = (7.5, 1.2 + 0.34 * len(rows)) if lying else (max(5.0, 1.6 + 0.85 * len(rows)), 3.6)
    figure = new_figure(size)
    axes = figure.add_subplot()
    width = 0.8 / len(report.columns)
    for i, column in enumerate(report.columns):
        at = places + (i - (len(report.columns) - 1) / 2) * width
        values, errors, known = _values(rows, i)
        style: dict[str, Any] = {
            "color": COLOURS[i % 8],
            "hatch": HATCHES[i % 8],
            "edgecolor": "white",
            "linewidth": 0.5,
            "label": column.name,
        }
        if lying:
            axes.barh(at[known], values, width, xerr=errors, error_kw=_whiskers(), **style)
        else:
            axes.bar(at[known], values, width, yerr=errors, error_kw=_whiskers(), **style)
    _mark_absent(axes, rows, places, lying=lying)
    label = f"MACC top-{rows[0].top}, %"
    if lying:
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlabel(label)
    else:
        names[-1] = "mean over\nroots"
        slanted = max(len(line) for name in names for line in name.split("\n")) > 13
        axes.set_xticks(places, names, rotation=30 if slanted else 0, ha="right" if slanted else "center")
        axes.set_ylabel(label)
    _finish(axes, report, lying=lying)
    axes.set_title(f"Mean accuracy of the leaves in each {taxonomy.levels[0]}, {report.split} split", loc="left")
    return figure


def draw_tail(report: Report) -> Figure:
    """MACC of the leaves by their number of training images, with 95 % intervals."""
    train_images, leaf, depth = report.train_images, report.taxonomy.leaf_level, report.taxonomy.depth - 1
    edges = [*TAIL_BINS, np.inf]
    bins = []
    for low, above in pairwise(edges):
        inside = np.flatnonzero((train_images >= low) & (train_images < above))
        name = f"≥ {low:,}" if above == np.inf else f"{low:,}–{above - 1:,.0f}" if above - low > 1 else f"{low:,}"
        bins.append(Group("", name, leaf, depth, inside, (MACC,)))
    rows = [row for row in _rows(report, bins) if any(cell is not None for cell in row.cells)]
    figure = new_figure((max(5.0, 1.6 + 0.95 * len(rows)), 3.6))
    axes = figure.add_subplot()
    places = np.arange(len(rows), dtype=float)
    for i, column in enumerate(report.columns):
        values, errors, known = _values(rows, i)
        at = places[known] + (i - (len(report.columns) - 1) / 2) * 0.09
        axes.errorbar(
            at, values, yerr=errors, color=COLOURS[i % 8], marker=MARKERS[i % 8], markersize=5, linewidth=1.4,
            elinewidth=0.9, capsize=2.5, label=column.name,
        )  # fmt: skip
    judged = [next(cell for cell in row.cells if cell is not None) for row in rows]
    leaves = [
        f"{row.group}\n{cell.classes:,} {'leaf' if cell.classes == 1 else 'leaves'}"
        for row, cell in zip(rows, judged, strict=True)
    ]
    axes.set_xticks(places, leaves)
    axes.set_xlabel("training images of the leaf, and leaves with test images")
    axes.set_ylabel(f"MACC top-{rows[0].top}, %")
    _finish(axes, report, lying=False)
    axes.set_title(f"Mean accuracy along the long tail, {report.split} split", loc="left")
    return figure


def _rows(report: Report, groups: Sequence[Group]) -> list[Row]:
    top = min(row.top for row in report.rows if row.section == "overall")
    return [row for group in groups for row in report.table.rows(group, [top])]


def _values(rows: Sequence[Row], column: int) -> tuple[list[float], Any, list[int]]:
    """Percent, distances to the ends of the interval (2×rows), and the numbers of the rows that have a figure."""
    cells = [(at, cell) for at, row in enumerate(rows) if (cell := row.cells[column]) is not None]
    values = [100 * cell.value for _, cell in cells]
    below = [100 * max(0.0, cell.value - cell.interval[0]) for _, cell in cells]
    above = [100 * max(0.0, cell.interval[1] - cell.value) for _, cell in cells]
    return values, np.array([below, above]), [at for at, _ in cells]


def _mark_absent(axes: Axes, rows: Sequence[Row], places: Any, *, lying: bool) -> None:
    for place, row in zip(places, rows, strict=True):
        if all(cell is None for cell in row.cells):
            x, y = (1, place) if lying else (place, 1)
            axes.text(x, y, "n/a", ha="left" if lying else "center", va="center" if lying else "bottom", fontsize=8)


def _finish(axes: Axes, report: Report, *, lying: bool) -> None:
    if lying:
        axes.set_xlim(0, 100)
    else:
        axes.set_ylim(0, 100)
    axes.grid(axis="x" if lying else "y", linewidth=0.4, color="#cccccc")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, title="95 % intervals", alignment="left")


def _whiskers() -> dict[str, Any]:
    return {"elinewidth": 0.9, "capsize": 2, "ecolor": "#333333"}
