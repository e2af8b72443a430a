"""The long-tail figure (paper A fig. 6): training images of every leaf, most first, head and tail in two colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD, TAIL = "#b3361e", "#4fb286"
"""Red and green as in the paper; the red is dark and the green light, for eyes that cannot tell the two apart."""

_INK = "#333333"
_MOST_POINTS = 4000


def draw_long_tail(directory: Path, train_images: NDArray[np.int64], *, head_from: int) -> None:
    """Write long-tail.svg and long-tail.png into `directory`; `train_images` is int64 [leaves]."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "prodrec", "font.size": 10, "axes.edgecolor": _INK}):
        figure = Figure(figsize=(8, 4))
        figure.subplots_adjust(left=0.11, right=0.95, bottom=0.13, top=0.92)
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), np.sort(train_images)[::-1], head_from)
        figure.savefig(directory / "long-tail.png", dpi=150, metadata={"Software": None})
        figure.savefig(directory / "long-tail.svg", metadata={"Date": None, "Creator": None})


def _draw(axes: Axes, counts: NDArray[np.int64], head_from: int) -> None:
    leaves, head = len(counts), int((counts >= head_from).sum())
    floor = 0.7
    for start, stop, colour, name in ((0, head, HEAD, "head"), (head, leaves, TAIL, "tail")):
        if start == stop:
            continue
        # One step for every leaf, thinned out where there are more leaves than the eye can tell apart.
        at = np.unique(np.linspace(start, stop - 1, min(stop - start, _MOST_POINTS)).astype(int))
        edges, heights = np.append(at, stop), np.append(counts[at], counts[stop - 1])
        axes.fill_between(edges, np.maximum(heights, floor), floor, step="post", color=colour, linewidth=0)
        images = int(counts[start:stop].sum())
        label = f"{name}: {stop - start:,} {'leaf' if stop - start == 1 else 'leaves'}, {images:,} images"
        axes.fill_between([], [], color=colour, label=label)
    if 0 < head < leaves:
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
    axes.set_ylim(floor, max(int(counts[0]) if leaves else 1, head_from, 10) * 1.5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("leaves, most training images first")
    axes.set_title("training images", loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.4)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=False)
