"""Plots of a report as SVG and PNG files.

by-root              MACC in every root and its mean over roots (S fig. 5)
by-training-images   MACC along the long tail
by-level             ACC and MACC at every level, with --by-level
by-attribute         ACC of the attribute branch and of the leaves on its rows (after S table 2), with --by-attribute
mistakes             how far off the mistakes are in the tree, with --hierarchy

Shapes: N run groups; V distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.plot_style import new_figure, style_axes
from prodrec.eval.plots.bars import (
    COLOURS,
    MARKERS,
    Panel,
    add_legend,
    bar_values,
    draw_bars,
    draw_points,
    style_percent_axis,
)
from prodrec.eval.plots.style import DPI, drawing_style, save
from prodrec.eval.report import attribute_table, hierarchy_table
from prodrec.eval.report.leaf_groups import LeafGroup, root_groups
from prodrec.eval.report.strata import ACC, MACC
from prodrec.eval.report.table import Row, largest_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prodrec.eval.report.report import Report

TRAIN_IMAGE_BINS = (0, 1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""Lower ends of the bins of leaves, in training images."""
FEW_LEAVES = 5
"""Bins of fewer leaves are not joined by lines: their means depend on single leaves, and are no trend."""
DISTANCE_COLOURS = ("#c6dbef", "#6baed6", "#2171b5", "#08306b")
"""Colours from small to large distances: one hue, darker for larger ones."""
FORMATS = ("svg", "png")
MOST_ROOTS = 200
"""Number of roots in a plot; with more, the plot has those with the most test images."""


def plot_paths(directory: Path, report: Report) -> list[Path]:
    """Return the files that `draw_plots` writes: the plots for which `report` has data."""
    return [directory / f"{name}.{suffix}" for name in plot_names(report) for suffix in FORMATS]


def draw_plots(report: Report, directory: Path, *, force: bool = False) -> list[Path]:
    """Write the plots of `report` into `directory` and return their paths. Raise OutputExists."""
    with drawing_style():
        for name in plot_names(report):
            figure = PLOTS[name](report)
            for suffix in FORMATS:
                save(figure, directory / f"{name}.{suffix}", kind="report", force=force)
    return plot_paths(directory, report)


def plot_names(report: Report) -> list[str]:
    """Return the names of the plots that have data.

    A tree with one level has no roots; without scores of the leaves only levels and attributes remain.
    """
    sections = {row.section for row in report.rows if any(cell is not None for cell in row.cells)}
    names = ["by-training-images"] if "overall" in sections else []
    names += ["by-root"] if "overall" in sections and report.taxonomy.depth > 1 else []
    names += ["by-level"] if "by level" in sections else []
    names += ["by-attribute"] if attribute_table.SECTION in sections else []
    return names + (["mistakes"] if hierarchy_table.SECTION in sections and _distance_shares(report) else [])


def draw_roots(report: Report) -> Figure:
    """Draw MACC in every root and its mean over roots as grouped bars with 95 % intervals (S fig. 5)."""
    taxonomy = report.taxonomy
    rows = _rows(report, root_groups(taxonomy, (MACC,)))
    title = f"Mean accuracy of the leaves in each {taxonomy.levels[0]}, {report.split} split"
    if len(rows) > MOST_ROOTS + 1:
        omitted = len(rows) - MOST_ROOTS - 1
        rows = [rows[0], *largest_rows(rows[1:], MOST_ROOTS)]
        title += f": those with most images ({omitted:,} more in the CSV of --by-root)"
    names = [row.group for row in rows]
    panel = Panel(title, names, rows, _groups_with_cells(report, rows), f"MACC top-{rows[0].top}, %")
    return draw_bars([panel], report.run_groups)


def draw_levels(report: Report) -> Figure:
    """Draw ACC and MACC at every level as grouped bars."""
    top = min(row.top for row in report.rows if row.section == "by level")
    panels = []
    for metric, description in ((ACC, "Accuracy"), (MACC, "Mean accuracy of the classes")):
        rows = [row for row in report.rows if (row.section, row.metric, row.top) == ("by level", metric, top)]
        title = f"{description} at each level, {report.split} split"
        names = [row.group for row in rows]
        panels.append(Panel(title, names, rows, _groups_with_cells(report, rows), f"{metric} top-{top}, %"))
    return draw_bars(panels, report.run_groups)


def draw_attributes(report: Report) -> Figure:
    """Draw ACC of the attribute branch, and ACC of the leaves over the rows with the attribute, as grouped bars."""
    panels = []
    for metric, title in (
        (f"{ACC}-{attribute_table.BRANCH_A}", "Accuracy of the attribute branch"),
        (f"{ACC}-{attribute_table.BRANCH_C}", "Accuracy of the leaves on the rows with the attribute"),
    ):
        rows = [row for row in report.rows if row.section == attribute_table.SECTION and row.metric == metric]
        if run_groups := _groups_with_cells(report, rows):
            title = f"{title}, {report.split} split"
            panels.append(Panel(title, [row.group for row in rows], rows, run_groups, f"{metric}, %"))
    return draw_bars(panels, report.run_groups)


def draw_mistakes(report: Report) -> Figure:
    """Draw the share of wrong images as one horizontal bar per run group, split by the deepest correct level."""
    shares = _distance_shares(report)
    most_wrong = max(float(share_V[1:].sum()) for share_V in shares.values()) / 100
    levels, depth = report.taxonomy.levels, report.taxonomy.depth
    figure = new_figure((7.0, 1.3 + 0.34 * len(shares)), dpi=DPI)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    left_N = np.zeros(len(shares))
    for distance in range(1, depth + 1):
        above = levels[depth - distance - 1] if distance < depth else None
        label = f"right {above}, wrong {levels[depth - distance]}" if above else f"wrong {levels[0]}"
        share_N = np.array([share_V[distance] for share_V in shares.values()])
        shade = round((distance - 1) / max(1, depth - 1) * (len(DISTANCE_COLOURS) - 1))
        colour = DISTANCE_COLOURS[shade]
        bars = axes.barh(range(len(shares)), share_N, 0.7, left_N, color=colour, edgecolor="white", label=label)
        # Parts shorter than 4 % of the longest bar have no room for a number.
        texts = [f"{share:.1f}" if share > 0.04 * 100 * most_wrong else "" for share in share_N]
        axes.bar_label(bars, texts, label_type="center", fontsize=8, color="white" if shade > 1 else "#111111")
        left_N += share_N
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.set_xlabel(f"share of the {report.units}, %")
    style_axes(axes, grid="x", color="#cccccc")
    axes.set_title(f"How far off mistakes are, {report.split} split", loc="left")
    figure.legend(loc="outside lower left", frameon=False, ncols=min(depth, 3), fontsize=8)
    return figure


def draw_tail(report: Report) -> Figure:
    """Draw MACC of the leaves in bins of their number of training images, with 95 % intervals.

    Neighbouring bins are joined by a line if both have at least FEW_LEAVES leaves with test images.
    """
    leaf, depth = report.taxonomy.leaf_level, report.taxonomy.depth - 1
    bins = []
    for low, high in pairwise([*TRAIN_IMAGE_BINS, np.inf]):
        leaves = np.flatnonzero((report.train_images_C >= low) & (report.train_images_C < high))
        name = f"≥ {low:,}" if high == np.inf else f"{low:,}–{high - 1:,.0f}" if high - low > 1 else f"{low:,}"
        bins.append(LeafGroup("", name, leaf, depth, leaves, (MACC,)))
    rows = [row for row in _rows(report, bins) if any(cell is not None for cell in row.cells)]
    figure = new_figure((max(5.0, 1.0 + 0.95 * len(rows)), 3.9), dpi=DPI)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    ticks, run_groups = np.arange(len(rows), dtype=float), _groups_with_cells(report, rows)
    for number, i in enumerate(run_groups):
        values, errors, indices = bar_values(rows, i)
        x = ticks[indices] + (number - (len(run_groups) - 1) / 2) * 0.09
        draw_points(
            axes, x.tolist(), values, errors, joined=[rows[index].classes >= FEW_LEAVES for index in indices],
            colour=COLOURS[i % 8], marker=MARKERS[(i + i // 8) % 8], label=report.run_groups[i].name,
        )  # fmt: skip
    names = [f"{row.group}\n{row.classes:,} {'leaf' if row.classes == 1 else 'leaves'}" for row in rows]
    axes.set_xticks(ticks, names)
    axes.set_xlabel(f"training images of the leaf, and leaves with test {report.units}")
    axes.set_ylabel(f"MACC top-{rows[0].top}, %")
    style_percent_axis(axes)
    add_legend(figure, [axes], report.run_groups)
    axes.set_title(f"Mean accuracy along the long tail, {report.split} split", loc="left")
    return figure


def _rows(report: Report, groups: Sequence[LeafGroup]) -> list[Row]:
    """Return the rows of `groups` for the smallest k of the report."""
    top = min(row.top for row in report.rows if row.section == "overall")
    return [row for group in groups for row in report.builder.accuracy_rows(group, [top])]


def _groups_with_cells(report: Report, rows: Sequence[Row]) -> list[int]:
    """Return the indices of the run groups that have a cell in any of the rows."""
    return [i for i in range(len(report.run_groups)) if any(row.cells[i] is not None for row in rows)]


def _distance_shares(report: Report) -> dict[str, NDArray[np.float64]]:
    """Return the percentage of images by distance, float64 [V], by name of each run group with scores of the leaves."""
    shares = {}
    for group in report.run_groups:
        images_V = hierarchy_table.distance_histogram(report.builder.counts, group.files)
        if images_V is not None and images_V.sum():
            shares[group.name] = 100 * images_V / images_V.sum()
    return shares


PLOTS = {
    "by-training-images": draw_tail,
    "by-root": draw_roots,
    "by-level": draw_levels,
    "by-attribute": draw_attributes,
    "mistakes": draw_mistakes,
}
