"""The curves of a training as a picture: losses and validation accuracies by epoch, from the rows of history.csv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.outputs import atomic_write
from prodrec.core.base.plot_style import new_figure, plot_settings, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES_FILE = "curves.svg"

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
"""One of each for every curve of a panel (Okabe and Ito), so that they differ without colour too."""
MOST_MARKERS = 30
"""With more epochs, markers would hide the curves; only some are drawn."""
MOST_CURVES = 6
"""Curves of a panel; a run has a loss for every head, and may have dozens of attributes."""
SETTINGS = {"font.size": 9, "svg.fonttype": "none", "text.parse_math": False}
"""matplotlib's settings of the picture. SVG files contain text as text."""

Rows = Sequence[dict[str, Any]]


def write_curves(run: Path, history: Rows) -> None:
    """Write the picture into the directory of a run; nothing for a run without epochs."""
    if not history:
        return
    with plot_settings(SETTINGS), atomic_write(run / CURVES_FILE) as partial:
        draw_curves(history).savefig(partial, format="svg", metadata={"Date": None})


def draw_curves(history: Rows) -> Figure:
    """Draw the losses in one panel and, if the run was validated, its accuracies in percent in another.

    history: the rows of history.csv, at least one
    """
    losses = {name: [row.get(name) for row in history] for name in history[0] if name.split("_")[0] == "loss"}
    # The loss of the only head is the whole loss, and its curve would hide the other.
    losses = {name: values for name, values in losses.items() if name == "loss" or not _equal(values, losses["loss"])}
    accuracies = {
        name: [None if row.get(name) is None else 100 * row[name] for row in history]
        for name in history[0]
        if name.startswith("validation_")
    }
    epochs = [row["epoch"] for row in history]
    panels = [("loss", losses)] + ([("validation, %", accuracies)] if accuracies else [])
    figure = new_figure((3.9 * len(panels), 3.0))
    figure.subplots_adjust(left=0.14 / len(panels), right=0.98, bottom=0.16, top=0.9, wspace=0.18)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, curves) in zip(all_axes, panels, strict=True):
        _draw_panel(axes, epochs, curves)
        axes.set_title(label, loc="left", fontsize="medium")
        axes.set_ylim(bottom=0)
    return figure


def _equal(values: Sequence[float | None], others: Sequence[float | None]) -> bool:
    """Return whether the curves are one, up to the rounding of means in float32."""
    return all(
        a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-6))
        for a, b in zip(values, others, strict=True)
    )


def _draw_panel(axes: Axes, epochs: Sequence[int], curves: dict[str, list[float | None]]) -> None:
    for i, (name, values) in enumerate(list(curves.items())[:MOST_CURVES]):
        known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
        label = name.removeprefix("validation_").removeprefix("loss_")
        axes.plot(
            [epoch for epoch, _ in known], [value for _, value in known], label={"loss": "all"}.get(label, label),
            color=COLOURS[i], marker=MARKERS[i], markersize=4, markevery=max(1, len(epochs) // MOST_MARKERS),
            linewidth=1.3,
        )  # fmt: skip
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True)
    style_axes(axes, grid="y", color="#cccccc")
    axes.legend(frameon=False, fontsize="small")
