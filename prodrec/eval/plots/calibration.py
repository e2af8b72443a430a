"""Plots of the confidence of runs: the reliability diagram, and coverage against precision.

The confidences are those of `eval/report/confidence.py`, one for every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prodrec.core.base.plot_style import new_figure, style_axes
from prodrec.eval.plots.bars import COLOURS, MARKERS, draw_points
from prodrec.eval.plots.style import DPI
from prodrec.eval.report.confidence import ConfidenceCounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_IMAGES = 20
"""Bins of fewer images are not joined by lines."""
MIN_ANSWERS = 20
"""Fewest answered images of a point of coverage against precision; with fewer, the curve jumps by chance."""
MOST_POINTS = 200
LINES = ("-", "--", "-.", ":")


def draw_reliability(runs: Mapping[str, ConfidenceCounts]) -> Figure:
    """Draw the accuracy of the predictions of each confidence bin, with 95 % intervals; trustworthy runs follow the
    diagonal. Neighbouring bins are joined by a line if both have at least FEW_IMAGES images.
    """
    axes = _new_axes()
    axes.plot([0, 100], [0, 100], color="#555555", linewidth=0.9, linestyle=(0, (4, 3)), label="as confident as right")
    for i, (name, counts) in enumerate(runs.items()):
        bins = counts.reliability()
        x = [100 * b.confidence for b in bins]
        y = [100 * b.accuracy for b in bins]
        # Rounding may put an end on the wrong side of its value by 1e-16, which matplotlib refuses.
        errors = [
            [max(0.0, 100 * (b.accuracy - b.interval[0])) for b in bins],
            [max(0.0, 100 * (b.interval[1] - b.accuracy)) for b in bins],
        ]
        draw_points(
            axes, x, y, errors, joined=[b.images >= FEW_IMAGES for b in bins], colour=COLOURS[i % 8],
            marker=MARKERS[i % 8], linestyle=LINES[i // 8 % 4], label=name,
        )  # fmt: skip
    axes.set_xlabel("confidence of the prediction, %")
    axes.set_ylabel("right predictions, %")
    axes.set_title("Confidence and accuracy", loc="left")
    return _finish(axes)


def draw_coverage(runs: Mapping[str, ConfidenceCounts]) -> Figure:
    """Draw the share of right answers against the share of images that are answered, for all thresholds."""
    axes = _new_axes()
    for i, (name, counts) in enumerate(runs.items()):
        points = [t for t in counts.thresholds() if t.coverage * counts.images >= min(MIN_ANSWERS, counts.images)]
        points = points[:: max(1, len(points) // MOST_POINTS)]
        axes.plot(
            [100 * t.coverage for t in points], [100 * t.precision for t in points], color=COLOURS[i % 8],
            linewidth=1.4, linestyle=LINES[i // 8 % 4], marker=MARKERS[i % 8], markersize=4.5,
            markevery=max(1, len(points) // 8), label=name,
        )  # fmt: skip
    lowest = min((t.precision for counts in runs.values() for t in counts.thresholds()), default=0.0)
    axes.set_xlabel("images answered, %")
    axes.set_ylabel("right among the answers, %")
    axes.set_title("Answers only above a threshold", loc="left")
    return _finish(axes, lowest=20 * int(5 * lowest))


def _new_axes() -> Axes:
    figure = new_figure((4.3, 3.9), dpi=DPI)
    figure.set_layout_engine("constrained")
    return figure.add_subplot()


def _finish(axes: Axes, *, lowest: int = 0) -> Figure:
    """Set the ranges of both axes to percentages, on the y axis from `lowest`, and add the legend."""
    lowest = min(lowest, 80)
    axes.set_xlim(0, 101.5)
    axes.set_ylim(lowest, 100 + 0.015 * (100 - lowest))
    axes.set_xticks(range(0, 101, 20))
    axes.set_yticks(range(lowest, 101, 20 if lowest < 60 else 10 if lowest < 80 else 5))
    style_axes(axes, grid="y", color="#cccccc")
    figure = axes.figure
    figure.legend(loc="outside lower left", frameon=False, fontsize=8, ncols=2)
    return figure  # type: ignore[return-value]
