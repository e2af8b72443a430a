"""The long-tail figure (paper A fig. 6): training images of every leaf, most first, head and tail in two colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEAD, TAIL = "#c23b22", "#1b8a5a"
"""Red and green as in the paper, chosen apart in lightness too, for readers who cannot tell the two."""


def draw_long_tail(directory: Path, train_images: NDArray[np.int64], *, head_from: int, leaves: Sequence[str]) -> None:
    """Write long-tail.svg and long-tail.png into `directory`; `train_images` is int64 [leaves]."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "prodrec", "svg.fonttype": "none"}):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        counts = np.sort(train_images)[::-1]
        head = int((counts >= head_from).sum())
        axes.fill_between(np.arange(head), counts[:head], 0.5, color=HEAD)
        axes.set_yscale("log")
        figure.savefig(directory / "long-tail.png", dpi=150)
        figure.savefig(directory / "long-tail.svg", metadata={"Date": None})
