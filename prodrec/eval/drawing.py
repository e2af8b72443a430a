"""How every figure is drawn: one style and its fonts, and one way to save a figure as SVG, PDF or PNG."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.artefact import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE_FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Micro Hei", "PingFang SC", "Microsoft YaHei", "SimHei")
"""Fonts with Chinese characters, used where one is installed; SVGs hold text, whose font the reader's machine finds."""


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of `size` inches (width, height) that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, *, kind: str, force: bool = False, crop: bool = True) -> None:
    """Write `figure` to `path`, in the format of its suffix; same figure, same bytes. Raises OutputExists."""
    suffix = path.suffix[1:].lower()
    undated: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    box: dict[str, Any] = {"bbox_inches": "tight"} if crop else {}
    with new_file(path, kind=kind, force=force) as beside:
        figure.savefig(beside, format=suffix, dpi=200, metadata=undated.get(suffix), **box)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Readable type, text kept as text in SVGs, and the same bytes for the same figure."""
    import matplotlib
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    wide = [name for name in WIDE_FONTS if name in installed]
    settings: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", *wide],
        "font.size": 9,
        "axes.titlesize": 10,
        "hatch.linewidth": 0.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "prodrec",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield
