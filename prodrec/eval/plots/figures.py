"""Figures of a report as SVG and PNG.

by-root              MACC in every root and its mean over roots (S fig. 5)
by-training-images   MACC along the long tail
by-level             ACC and MACC at every level, with --by-level
by-attribute         ACC of the attribute branch and of the leaves of its rows (S table 2), with --by-attribute
mistakes             how far off the mistakes are in the tree, with --hierarchy
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.eval.plots.bars import COLOURS, MARKERS, Panel, draw_bars, finish, legend, values_of
from prodrec.eval.plots.style import drawing_style, new_figure, save
from prodrec.eval.report import attributes, structure
from prodrec.eval.report.cells import Row, most_images
from prodrec.eval.report.groups import ACC, MACC, Group, root_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prodrec.eval.report.report import Report

TAIL_BINS = (0, 1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
FURTHER = ("#c6dbef", "#6baed6", "#2171b5", "#08306b")
"""From a near mistake to a far one: one hue, told apart by its lightness."""
FORMATS = ("svg", "png")
MOST_ROOTS = 200
"""Groups of bars that a figure can hold."""


def figure_paths(directory: Path, report: Report) -> list[Path]:
    """The files that `draw_figures` writes: what was asked for and has a figure to show."""
    return [directory / f"{name}.{kind}" for name in _names(report) for kind in FORMATS]


def draw_figures(report: Report, directory: Path, *, force: bool = False) -> list[Path]:
    """Draw `report` into `directory`; the files written. Raises OutputExists."""
    with drawing_style():
        for name in _names(report):
            figure = DRAW[name](report)
            for kind in FORMATS:
                save(figure, directory / f"{name}.{kind}", kind="report", force=force)
    return figure_paths(directory, report)


def _names(report: Report) -> list[str]:
    """A tree of one level has no roots to draw, and without scores of the leaves only levels and attributes remain."""
    known = {row.section for row in report.rows if any(cell is not None for cell in row.cells)}
    names = ["by-training-images"] if "overall" in known else []
    names += ["by-root"] if "overall" in known and report.taxonomy.depth > 1 else []
    names += ["by-level"] if "by level" in known else []
    names += ["by-attribute"] if attributes.SECTION in known else []
    return names + (["mistakes"] if structure.SECTION in known and _far_off(report) else [])


def draw_roots(report: Report) -> Figure:
    """Grouped bars: MACC inside every root and its mean over roots, with 95 % intervals (S fig. 5)."""
    taxonomy = report.taxonomy
    rows = _rows(report, root_groups(taxonomy, (MACC,)))
    title = f"Mean accuracy of the leaves in each {taxonomy.levels[0]}, {report.split} split"
    if len(rows) > MOST_ROOTS + 1:
        rows, left_out = [rows[0], *most_images(rows[1:], MOST_ROOTS)], len(rows) - MOST_ROOTS - 1
        title += f": those with most images ({left_out:,} more in the CSV of --by-root)"
    names = [row.group for row in rows]
    return draw_bars([Panel(title, names, rows, _runs(report, rows), f"MACC top-{rows[0].top}, %")], report.columns)


def draw_levels(report: Report) -> Figure:
    """Grouped bars: ACC and MACC at every level."""
    top = min(row.top for row in report.rows if row.section == "by level")
    panels = []
    for metric, what in ((ACC, "Accuracy"), (MACC, "Mean accuracy of the classes")):
        rows = [row for row in report.rows if (row.section, row.metric, row.top) == ("by level", metric, top)]
        title = f"{what} at each level, {report.split} split"
        names = [row.group for row in rows]
        panels.append(Panel(title, names, rows, _runs(report, rows), f"{metric} top-{top}, %"))
    return draw_bars(panels, report.columns)


def draw_attributes(report: Report) -> Figure:
    """Grouped bars: ACC in the attribute branch, and ACC of the leaves over the rows with the attribute."""
    panels = []
    for metric, title in (
        (f"{ACC}-{attributes.BRANCH_A}", "Accuracy of the attribute branch"),
        (f"{ACC}-{attributes.BRANCH_C}", "Accuracy of the leaves on the rows with the attribute"),
    ):
        rows = [row for row in report.rows if row.section == attributes.SECTION and row.metric == metric]
        if runs := _runs(report, rows):
            title = f"{title}, {report.split} split"
            panels.append(Panel(title, [row.group for row in rows], rows, runs, f"{metric}, %"))
    return draw_bars(panels, report.columns)


def draw_mistakes(report: Report) -> Figure:
    """A lying bar a run: the share of wrong images, by the deepest level that is right all the same."""
    shares = _far_off(report)
    levels, depth = report.taxonomy.levels, report.taxonomy.depth
    figure = new_figure((7.0, 1.3 + 0.34 * len(shares)))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    left_N = np.zeros(len(shares))
    for distance in range(1, depth + 1):
        above = levels[depth - distance - 1] if distance < depth else None
        label = f"right {above}, wrong {levels[depth - distance]}" if above else f"wrong {levels[0]}"
        part_N = np.array([share_V[distance] for share_V in shares.values()])
        shade = (distance - 1) / max(1, depth - 1) * (len(FURTHER) - 1)
        colour = FURTHER[round(shade)]
        bars = axes.barh(range(len(shares)), part_N, 0.7, left_N, color=colour, edgecolor="white", label=label)
        told = [f"{part:.1f}" if part > 0.04 * 100 * _most_wrong(shares) else "" for part in part_N]
        axes.bar_label(bars, told, label_type="center", fontsize=8, color="white" if round(shade) > 1 else "black")
        left_N += part_N
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.set_xlabel("share of the images, %")
    axes.grid(axis="x", linewidth=0.4, color="#cccccc")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"How far off mistakes are, {report.split} split", loc="left")
    figure.legend(loc="outside lower left", frameon=False, ncols=min(depth, 3), fontsize=8)
    return figure


def draw_tail(report: Report) -> Figure:
    """MACC of the leaves by their number of training images, with 95 % intervals."""
    train_images, leaf, depth = report.train_images, report.taxonomy.leaf_level, report.taxonomy.depth - 1
    bins = []
    for low, above in pairwise([*TAIL_BINS, np.inf]):
        inside = np.flatnonzero((train_images >= low) & (train_images < above))
        name = f"≥ {low:,}" if above == np.inf else f"{low:,}–{above - 1:,.0f}" if above - low > 1 else f"{low:,}"
        bins.append(Group("", name, leaf, depth, inside, (MACC,)))
    rows = [row for row in _rows(report, bins) if any(cell is not None for cell in row.cells)]
    figure = new_figure((max(5.0, 1.0 + 0.95 * len(rows)), 3.9))
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    places, runs = np.arange(len(rows), dtype=float), _runs(report, rows)
    for place, i in enumerate(runs):
        values, errors, known = values_of(rows, i)
        at = places[known] + (place - (len(runs) - 1) / 2) * 0.09
        axes.errorbar(
            at, values, yerr=errors, color=COLOURS[i % 8], marker=MARKERS[(i + i // 8) % 8], markersize=5,
            linewidth=1.4, elinewidth=0.9, capsize=2.5, label=report.columns[i].name,
        )  # fmt: skip
    judged = [next(cell for cell in row.cells if cell is not None) for row in rows]
    leaves = [
        f"{row.group}\n{cell.classes:,} {'leaf' if cell.classes == 1 else 'leaves'}"
        for row, cell in zip(rows, judged, strict=True)
    ]
    axes.set_xticks(places, leaves)
    axes.set_xlabel("training images of the leaf, and leaves with test images")
    axes.set_ylabel(f"MACC top-{rows[0].top}, %")
    finish(axes)
    legend(figure, [axes], report.columns)
    axes.set_title(f"Mean accuracy along the long tail, {report.split} split", loc="left")
    return figure


def _rows(report: Report, groups: Sequence[Group]) -> list[Row]:
    top = min(row.top for row in report.rows if row.section == "overall")
    return [row for group in groups for row in report.table.rows(group, [top])]


def _runs(report: Report, rows: Sequence[Row]) -> list[int]:
    """Numbers of the columns that have a figure in any of the rows."""
    return [i for i in range(len(report.columns)) if any(row.cells[i] is not None for row in rows)]


def _far_off(report: Report) -> dict[str, np.ndarray]:
    """Percent of the images by distance, by name of the column; only columns that scored the leaves."""
    found = {}
    for column in report.columns:
        images_V = structure.histograms(report.table.counted, column.files)
        if images_V is not None and images_V.sum():
            found[column.name] = 100 * images_V / images_V.sum()
    return found


def _most_wrong(shares: dict[str, np.ndarray]) -> float:
    return max(float(share_V[1:].sum()) for share_V in shares.values()) / 100


DRAW = {
    "by-training-images": draw_tail,
    "by-root": draw_roots,
    "by-level": draw_levels,
    "by-attribute": draw_attributes,
    "mistakes": draw_mistakes,
}
