"""The plots of the page, drawn by the code of `--figures`, of training curves, and of `eval/plots/calibration.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prodrec.core.training.curves import draw_curves
from prodrec.eval.page.inline_svg import inline_svg
from prodrec.eval.page.inputs import RunFacts
from prodrec.eval.plots.calibration import draw_coverage, draw_reliability
from prodrec.eval.plots.report_plots import PLOTS, plot_names
from prodrec.eval.plots.style import drawing_style
from prodrec.eval.report.confidence import ConfidenceCounts
from prodrec.eval.report.report import Report

DESCRIPTIONS = {
    "by-training-images": "Mean accuracy of the leaves, by their number of training images, for every run.",
    "by-root": "Mean accuracy of the leaves below every root, for every run.",
    "by-level": "Accuracy at every level of the category tree, for every run.",
    "by-attribute": "Accuracy of every attribute, for every run.",
    "mistakes": "Share of wrong images by the deepest level that is right, for every run.",
}
"""The accessible names of the plots of a report; the tables beside them have the numbers."""


def report_plots(report: Report) -> dict[str, str]:
    """Return the plots of a report as inline SVG, by name."""
    with drawing_style():
        return {
            name: inline_svg(PLOTS[name](report), name=name, description=DESCRIPTIONS[name])
            for name in plot_names(report)
        }


def calibration_plots(runs: Mapping[str, ConfidenceCounts]) -> dict[str, str]:
    """Return the reliability diagram, and coverage against precision."""
    plots = {
        "reliability": (draw_reliability, "Accuracy of the predictions by their confidence."),
        "coverage": (draw_coverage, "Share of right answers against the share of images answered."),
    }
    with drawing_style():
        return {
            name: inline_svg(draw(runs), name=name, description=description)
            for name, (draw, description) in plots.items()
        }


def curve_plots(names: Sequence[str], runs: Sequence[RunFacts]) -> list[tuple[str, str]]:
    """Return the training curves of the runs that have a history, with their names."""
    with drawing_style():
        return [
            (
                name,
                inline_svg(
                    draw_curves(run.history),
                    name=f"curves-{number}",
                    description=f"Training curves of {name}, by epoch.",
                ),
            )
            for number, (name, run) in enumerate(zip(names, runs, strict=True))
            if run.history
        ]
