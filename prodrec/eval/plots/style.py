"""How every figure is drawn: one style and its fonts, and one way to save a figure as SVG, PDF or PNG."""

from __future__ import annotations

import functools
import logging
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base import console
from prodrec.core.base.artefact import new_file
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure

DPI = 200
FORMATS = (".png", ".svg", ".pdf")
WIDE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei"),
)
"""Fonts with Chinese characters, used where one is installed; SVGs hold text, whose font the reader's machine finds.
(Of Noto's collection of all five regions matplotlib sees the first alone, which calls itself JP.)"""


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of `size` inches (width, height) that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def check_format(path: Path, *, option: str) -> None:
    """Raise BadOption for a file that cannot be drawn because of its suffix."""
    if path.suffix.lower() not in FORMATS:
        raise BadOption(f"{option} {path}: expected a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")


def save(figure: Figure, path: Path, *, kind: str, force: bool = False, crop: bool = True) -> None:
    """Write `figure` to `path`, in the format of its suffix; same figure, same bytes. Raises OutputExists."""
    suffix = path.suffix[1:].lower()
    undated: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    box: dict[str, Any] = {"bbox_inches": "tight"} if crop else {}
    with new_file(path, kind=kind, force=force) as beside:
        figure.savefig(beside, format=suffix, dpi=DPI, metadata=undated.get(suffix), **box)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Readable type, names taken literally ($), text kept as text in SVGs, and the same bytes for the same figure."""
    import matplotlib

    settings: dict[Any, Any] = {
        "font.family": _fonts(),
        "font.size": 9,
        "axes.titlesize": 10,
        "text.parse_math": False,
        "image.composite_image": False,
        "hatch.linewidth": 0.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "prodrec",
    }
    fonts = logging.getLogger("matplotlib.font_manager")  # it tells of every font that has no bold
    before = fonts.level
    fonts.setLevel(logging.ERROR)
    try:
        with matplotlib.rc_context(settings), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            yield
    finally:
        fonts.setLevel(before)


def wrap(text: str, width: float, *, lines: int, size: float, bold: bool = False) -> list[str]:
    """`text` in at most `lines` lines of `width` pixels (of which an inch has DPI), cut with … where it is longer."""
    text, found = " ".join(console.CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).split()), list[str]()
    while text and len(found) < lines:
        last = len(found) == lines - 1
        if _width(text, size, bold) <= width:
            return [*found, text]
        mark = "…" if last else ""
        fits = bisect_right(range(1, len(text)), width, key=lambda count: _width(text[:count] + mark, size, bold))
        cut = max(1, fits)
        if not last and (space := text.rfind(" ", 0, cut + 1)) > cut // 3:
            cut = space
        found.append(text[:cut].rstrip() + mark)
        text = text[cut:].lstrip()
    return found


def _width(text: str, size: float, bold: bool) -> float:
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(_ruler().get_text_width_height_descent(text, font, False)[0])  # type: ignore[no-untyped-call]


@functools.cache
def _ruler() -> RendererAgg:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call]


def without_font(texts: Iterable[str]) -> str:
    """The characters of `texts`, each once, that no font used here has: PNG and PDF show boxes in their place."""
    from matplotlib import font_manager

    fonts = [font_manager.get_font(font_manager.findfont(name)) for name in _fonts()]
    characters = sorted({character for text in texts for character in text if not character.isspace()})
    return "".join(c for c in characters if not any(font.get_char_index(ord(c)) for font in fonts))


def _fonts() -> list[str]:
    """DejaVu Sans, which matplotlib brings, and behind it the wide fonts that are installed."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]
