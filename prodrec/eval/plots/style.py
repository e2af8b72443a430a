"""The style of all plots of results: type and fonts, wrapped names, and saving as SVG, PDF or PNG."""

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
from prodrec.core.base.errors import BadOption
from prodrec.core.base.outputs import new_file
from prodrec.core.base.plot_style import plot_settings

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure

DPI = 200
"""Pixels per inch."""
FORMATS = (".png", ".svg", ".pdf")
WIDE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei"),
)
"""Fonts with Chinese characters, used if installed. SVG files contain text, whose font the reader's machine provides.
(Of the Noto collection with five regional fonts, matplotlib sees the first only, whose name ends in JP.)"""


def check_format(path: Path, *, option: str) -> None:
    """Raise BadOption if no plot can be saved under the suffix of `path`, the value of `option`."""
    if path.suffix.lower() not in FORMATS:
        raise BadOption(f"{option} {path}: expected a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")


def save(figure: Figure, path: Path, *, kind: str, force: bool = False, crop: bool = True) -> None:
    """Write `figure` to `path` in the format of its suffix. The same figure gives the same bytes. Raise OutputExists.

    kind: kind of the artefact, for messages.
    crop: whether white margins are removed.
    """
    suffix = path.suffix[1:].lower()
    without_date: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    box: dict[str, Any] = {"bbox_inches": "tight"} if crop else {}
    with new_file(path, kind=kind, force=force) as temporary:
        figure.savefig(temporary, format=suffix, dpi=DPI, metadata=without_date.get(suffix), **box)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Set the style of plots that are drawn and saved in this context.

    Names are literal ($ does not start a formula), and SVG files contain text as text instead of outlines.
    """
    settings = {
        "font.family": _fonts(),
        "font.size": 9,
        "axes.titlesize": 10,
        "text.parse_math": False,
        "image.composite_image": False,
        "hatch.linewidth": 0.5,
        "svg.fonttype": "none",
    }
    logger = logging.getLogger("matplotlib.font_manager")  # logs every font without a bold weight
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with plot_settings(settings), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            yield
    finally:
        logger.setLevel(level)


def wrap(text: str, width: float, *, lines: int, size: float, bold: bool = False) -> list[str]:
    """Return `text` in at most `lines` lines of `width` pixels; longer text ends with ….

    size: font size in points. Control characters become �, and runs of white space one space.
    """
    text = " ".join(console.UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text).split())
    wrapped: list[str] = []
    while text and len(wrapped) < lines:
        last = len(wrapped) == lines - 1
        if _width(text, size, bold) <= width:
            return [*wrapped, text]
        mark = "…" if last else ""
        fitting = bisect_right(range(1, len(text)), width, key=lambda count: _width(text[:count] + mark, size, bold))
        cut = max(1, fitting)
        # A line ends at white space, which is dropped, or after a hyphen.
        breaking = max(text.rfind(" ", 0, cut + 1), text.rfind("-", 0, cut) + 1)
        if not last and breaking > cut // 3:
            cut = breaking
        wrapped.append(text[:cut].rstrip() + mark)
        text = text[cut:].lstrip()
    return wrapped


def _width(text: str, size: float, bold: bool) -> float:
    """Return the width of `text` in pixels."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(_renderer().get_text_width_height_descent(text, font, False)[0])  # type: ignore[no-untyped-call]


@functools.cache
def _renderer() -> RendererAgg:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call]


def missing_characters(texts: Iterable[str]) -> str:
    """Return the distinct characters of `texts` that no font of the plots has; PNG and PDF show boxes for them."""
    from matplotlib import font_manager

    fonts = [font_manager.get_font(font_manager.findfont(name)) for name in _fonts()]
    characters = sorted({character for text in texts for character in text if not character.isspace()})
    return "".join(c for c in characters if not any(font.get_char_index(ord(c)) for font in fonts))


def _fonts() -> list[str]:
    """Return DejaVu Sans, which is part of matplotlib, then the wide fonts that are installed."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]
