"""Draws a gallery as a contact sheet: every photo with what was predicted, errors framed in red and crossed (S fig. 6).

One axes covers the sheet and counts in its pixels, so that every photo is drawn pixel by pixel as it was fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.core.data.photos.thumbnails import fit_box
from prodrec.eval.plots.style import DPI, drawing_style, new_figure, save, without_font, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from prodrec.eval.gallery import Gallery, JudgedPhoto

PHOTO = 230
GAP = 22
MARGIN = 40
HEAD_LINE = 34
LINE = 25
NARROWEST = 900
"""Pixels, of which 200 are an inch."""
FRAME, WRONG, RIGHT = 7, "#C8102E", "#222222"
SIZE = 6.5
MOST_LINES = 2
"""Lines of a class's name."""


def draw_gallery(
    gallery: Gallery,
    read_photo: Callable[[int], NDArray[np.uint8]],
    path: Path,
    *,
    columns: int = 8,
    force: bool = False,
) -> str:
    """Draw the photos of `gallery`, which `read_photo` gives by row as uint8 [3, H, W], to `path`.

    Returns the characters for which no font is installed. Raises OutputExists, and what `read_photo` raises.
    """
    columns = min(columns, len(gallery.photos))
    rows = -(-len(gallery.photos) // columns)
    width = max(2 * MARGIN + columns * (PHOTO + GAP) - GAP, NARROWEST)
    with drawing_style():
        head = _head(gallery, width - 2 * MARGIN)
        captions = [_caption(photo) for photo in gallery.photos]
        above = MARGIN + len(head) * HEAD_LINE
        cell = PHOTO + max(len(lines) for lines in captions) * LINE + 2 * GAP
        height = above + rows * cell + MARGIN - GAP
        figure = new_figure((width / DPI, height / DPI))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for i, (text, style) in enumerate(head):
            axes.text(MARGIN, MARGIN + 14 + i * HEAD_LINE, text, **style)
        with console.progress("drawing photos", total=len(captions), unit="photos") as advance:
            for i, (photo, lines) in enumerate(zip(gallery.photos, captions, strict=True)):
                left, top = MARGIN + i % columns * (PHOTO + GAP), above + i // columns * cell
                image = fit_box(read_photo(photo.row), (PHOTO - 2 * FRAME, PHOTO - 2 * FRAME))
                _place(axes, image, left, top, right=photo.right)
                for line, (text, style) in enumerate(lines):
                    axes.text(left, top + PHOTO + 7 + (line + 1) * LINE, text, size=SIZE, **style)
                advance()
        save(figure, path, kind="gallery", force=force, crop=False)
        return without_font(text for lines in [head, *captions] for text, _ in lines)


Lines = list[tuple[str, dict[str, Any]]]
"""Texts and how matplotlib shall write them."""


def _head(gallery: Gallery, room: int) -> Lines:
    """What the sheet shows, and how to read it."""
    wanted, count = gallery.wanted, len(gallery.photos)
    what = {"all": "photo", "errors": "error", "right": "right answer"}[wanted.only]
    of = " in ".join(name for name in (wanted.leaf, wanted.root) if name)
    order = {"random": "at random", "confident": "most confident first", "unsure": "least confident first"}
    title = f"{gallery.run}: {count:,} {what}{'' if count == 1 else 's'}{f' of {of}' if of else ''}, "
    share = 100 * (1 - gallery.errors / gallery.images)
    told = f"{wanted.split} split, level {gallery.level}: {share:.1f} % of {gallery.images:,} right · "
    told += "before each predicted class its probability"
    told += f" among the {gallery.kept} kept" if gallery.kept else ""
    told += " · red frame and cross: wrong"
    bold, plain = {"size": 9, "weight": "bold"}, {"size": SIZE, "color": "#444444"}
    titles = wrap(title + order[wanted.order], room, lines=2, size=9, bold=True)
    return [(line, bold) for line in titles] + [(line, plain) for line in wrap(told, room, lines=3, size=SIZE)]


def _caption(photo: JudgedPhoto) -> Lines:
    """What was predicted, and what is true where that is wrong."""
    lines = _name(
        f"{percent(photo.confidence)} ", photo.predicted, color=RIGHT if photo.right else WRONG, weight="bold"
    )
    return lines if photo.right else lines + _name("true: ", photo.true, color=RIGHT)


def _name(before: str, name: str, **style: Any) -> Lines:
    """A class's name; one that is too long and is a path loses its beginning, for its end tells it from others."""

    def lines(text: str) -> list[str]:
        return wrap(before + text, PHOTO, lines=MOST_LINES, size=SIZE, bold="weight" in style)

    found, end = lines(name), name
    while found[-1].endswith("…") and PATH_SEPARATOR in end:
        end = end.partition(PATH_SEPARATOR)[2]
        found = lines(f"…/{end}")
    return [(line, style) for line in found]


def percent(share: float) -> str:
    """A probability for people: 97 %, and never 100 % or 0 % of what is not quite that."""
    text = f"{100 * share:.0f} %"
    return {"100 %": ">99 %", "0 %": "<1 %"}.get(text, text) if 0 < share < 1 else text


def _place(axes: Axes, image: NDArray[np.uint8], left: int, top: int, *, right: bool) -> None:
    """The photo in the middle of its square; around an error a frame, and a cross in its corner."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left, top), PHOTO, PHOTO, color="#f3f3f3", linewidth=0))
    height, width = image.shape[:2]
    x, y = left + (PHOTO - width) // 2, top + (PHOTO - height) // 2
    axes.imshow(image, extent=(x, x + width, y + height, y), interpolation="none", aspect="auto", zorder=2)
    if right:
        return
    thick, inner = FRAME * 72 / DPI, PHOTO - FRAME
    corner = (left + FRAME / 2, top + FRAME / 2)
    axes.add_patch(Rectangle(corner, inner, inner, fill=False, edgecolor=WRONG, linewidth=thick, zorder=3))
    badge = 40
    axes.add_patch(Rectangle((left, top), badge, badge, color=WRONG, linewidth=0, zorder=3))
    for xs in ((left + 12, left + badge - 10), (left + badge - 10, left + 12)):
        _line(axes, xs, (top + 12, top + badge - 10))


def _line(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.plot(xs, ys, color="white", linewidth=1.8, solid_capstyle="round", zorder=4, scalex=False, scaley=False)
