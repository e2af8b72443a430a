"""Plot the long tail (paper A fig. 6): training images of every leaf, most images first, head and tail coloured.

Shapes: C leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.plot_style import new_figure, plot_settings, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD_COLOUR, TAIL_COLOUR = "#b3361e", "#4fb286"
"""Red and green as in the paper; dark red and light green, so that colour-blind readers can tell them apart."""

_INK = "#333333"
_FLOOR = 0.7
"""The bottom of the logarithmic axis, below 1 so that a leaf with one image has a visible height."""
_MAX_STEPS = 4000
"""Steps drawn for head and for tail; more are not visible at this size, and the SVG would grow with the leaves."""


def plot_long_tail(directory: Path, train_images_C: NDArray[np.int64], *, head_from: int) -> None:
    """Write long-tail.svg and long-tail.png to `directory`.

    train_images_C: int64, the number of training images of every leaf
    head_from:      the number of training images from which a leaf belongs to the head
    """
    with plot_settings({"font.size": 10, "axes.edgecolor": _INK}):
        figure = new_figure((8, 4))
        figure.subplots_adjust(left=0.11, right=0.95, bottom=0.13, top=0.92)
        _draw(figure.add_subplot(), np.sort(train_images_C)[::-1], head_from)
        figure.savefig(directory / "long-tail.png", dpi=150, metadata={"Software": None})
        figure.savefig(directory / "long-tail.svg", metadata={"Date": None, "Creator": None})


def _draw(axes: Axes, images_C: NDArray[np.int64], head_from: int) -> None:
    """Draw the descending `images_C` as filled steps, with a line at `head_from`."""
    leaves, head_leaves = len(images_C), int((images_C >= head_from).sum())
    parts = ((0, head_leaves, HEAD_COLOUR, "head"), (head_leaves, leaves, TAIL_COLOUR, "tail"))
    for start, stop, colour, name in parts:
        if start == stop:
            continue
        steps = np.unique(np.linspace(start, stop - 1, min(stop - start, _MAX_STEPS)).astype(int))
        edges, heights = np.append(steps, stop), np.append(images_C[steps], images_C[stop - 1])
        axes.fill_between(edges, np.maximum(heights, _FLOOR), _FLOOR, step="post", color=colour, linewidth=0)
        total = int(images_C[start:stop].sum())
        label = f"{name}: {stop - start:,} {'leaf' if stop - start == 1 else 'leaves'}, {total:,} images"
        axes.fill_between([], [], color=colour, label=label)
    if 0 < head_leaves < leaves:
        axes.axhline(head_from, color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            f"{head_from:,} images",
            xy=(leaves, head_from),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            color=_INK,
        )
    axes.set_yscale("log")
    axes.set_xlim(0, max(leaves, 1))
    axes.set_ylim(_FLOOR, max(int(images_C[0]) if leaves else 1, head_from, 10) * 1.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("leaves, most training images first")
    axes.set_title("training images", loc="left", fontsize="medium")
    style_axes(axes, grid="y", alpha=0.4)
    axes.legend(loc="upper right", frameon=False)
