"""Set-up that all plots share: figures without a display, reproducible files, and one look of the axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SVG_SALT = "prodrec"
"""Seed of the ids in SVG files; with a fixed value the same plot is written as the same bytes."""


def new_figure(size: tuple[float, float], *, dpi: float | None = None) -> Figure:
    """Return an empty figure of `size` (width, height) in inches; it needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def plot_settings(settings: Mapping[Any, Any]) -> Iterator[None]:
    """Apply `settings` (matplotlib's rcParams) in the block, and make the ids in SVG files reproducible."""
    import matplotlib

    # Without a place for titles, matplotlib measures every picture once more to find one.
    with matplotlib.rc_context({"svg.hashsalt": SVG_SALT, "axes.titley": 1.0, **settings}):
        yield


def style_axes(axes: Axes, *, grid: Literal["x", "y"], **grid_style: Any) -> None:
    """Draw a thin grid along one axis behind the data, and no frame at the top and the right."""
    axes.grid(axis=grid, linewidth=0.4, **grid_style)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
