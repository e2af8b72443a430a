"""The contact sheet of a gallery: photos with their predictions; errors have a red frame and a cross (S fig. 6).

A photo without a label at the evaluated level has no frame; its caption has the deepest class that is known of it.

One axes covers the whole sheet and uses its pixels as units, so the photos are drawn without resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.plot_style import new_figure
from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.core.data.photos.thumbnails import fit_box
from prodrec.eval.plots.style import DPI, drawing_style, missing_characters, save, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from prodrec.eval.gallery_contents import Gallery, GalleryPhoto

PHOTO = 230
GAP = 22
MARGIN = 40
TITLE_LINE = 34
CAPTION_LINE = 25
MIN_WIDTH = 900
FRAME = 7
CROSS = 40
"""Sizes in pixels, of which 200 are an inch."""
ERROR_COLOUR, TEXT_COLOUR = "#C8102E", "#222222"
FONT_SIZE = 6.5
"""Size of the captions in points."""
MOST_NAME_LINES = 2
"""Number of lines of a class name."""

StyledLines = list[tuple[str, dict[str, Any]]]
"""Lines of text, each with the keywords of matplotlib's Axes.text."""


def draw_gallery(
    gallery: Gallery,
    read_photo: Callable[[int], NDArray[np.uint8]],
    path: Path,
    *,
    columns: int = 8,
    force: bool = False,
) -> str:
    """Write the contact sheet of `gallery` to `path` (PNG, SVG or PDF).

    read_photo: returns the photo of a row, uint8 [3, H, W].
    columns:    largest number of photos side by side.

    Return the characters that no installed font has. Raise OutputExists, and the errors of `read_photo`.
    """
    columns = min(columns, len(gallery.photos))
    rows = -(-len(gallery.photos) // columns)
    width = max(2 * MARGIN + columns * (PHOTO + GAP) - GAP, MIN_WIDTH)
    with drawing_style():
        title = _title_lines(gallery, width - 2 * MARGIN)
        captions = [_caption(photo) for photo in gallery.photos]
        photos_top = MARGIN + len(title) * TITLE_LINE
        row_height = PHOTO + max(len(lines) for lines in captions) * CAPTION_LINE + 2 * GAP
        height = photos_top + rows * row_height + MARGIN - GAP
        figure = new_figure((width / DPI, height / DPI), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for i, (text, style) in enumerate(title):
            axes.text(MARGIN, MARGIN + 14 + i * TITLE_LINE, text, **style)
        with console.progress("drawing photos", total=len(captions), unit="photos") as advance:
            for i, (photo, lines) in enumerate(zip(gallery.photos, captions, strict=True)):
                left, top = MARGIN + i % columns * (PHOTO + GAP), photos_top + i // columns * row_height
                image = fit_box(read_photo(photo.row), (PHOTO - 2 * FRAME, PHOTO - 2 * FRAME))
                _draw_photo(axes, image, left, top, is_error=photo.correct is False)
                for number, (text, style) in enumerate(lines, start=1):
                    axes.text(left, top + PHOTO + 7 + number * CAPTION_LINE, text, size=FONT_SIZE, **style)
                advance()
        save(figure, path, kind="gallery", force=force, crop=False)
        return missing_characters(text for lines in [title, *captions] for text, _ in lines)


def _title_lines(gallery: Gallery, width: int) -> StyledLines:
    """Return what the sheet shows and how to read it, in lines of at most `width` pixels."""
    options, count = gallery.options, len(gallery.photos)
    noun = {"all": "photo", "errors": "error", "right": "right answer"}[options.only]
    classes = " in ".join(name for name in (options.leaf, options.root) if name)
    order = {"random": "at random", "confident": "most confident first", "unsure": "least confident first"}
    title = f"{gallery.run}: {count:,} {noun}{'' if count == 1 else 's'}{f' of {classes}' if classes else ''}, "
    explanation = f"{options.split} split, level {gallery.level}: "
    if gallery.images:
        explanation += f"{100 * (1 - gallery.errors / gallery.images):.1f} % of {gallery.images:,} right · "
    if gallery.without_label:
        explanation += f"{gallery.without_label:,} without a label at this level · "
    explanation += "before each predicted class its probability"
    explanation += f" among the {gallery.top_k} kept" if gallery.top_k else ""
    explanation += " · red frame and cross: wrong"
    bold, plain = {"size": 9, "weight": "bold"}, {"size": FONT_SIZE, "color": "#444444"}
    titles = wrap(title + order[options.order], width, lines=2, size=9, bold=True)
    explanations = wrap(explanation, width, lines=3, size=FONT_SIZE)
    return [(line, bold) for line in titles] + [(line, plain) for line in explanations]


def _caption(photo: GalleryPhoto) -> StyledLines:
    """Return the predicted class and, unless it is correct, the true one."""
    colour = ERROR_COLOUR if photo.correct is False else TEXT_COLOUR
    lines = _name_lines(f"{format_probability(photo.confidence)} ", photo.predicted_class, color=colour, weight="bold")
    prefix = "true: " if photo.true_level is None else f"true {photo.true_level}: "
    return lines if photo.correct else lines + _name_lines(prefix, photo.true_class, color=TEXT_COLOUR)


def _name_lines(prefix: str, name: str, **style: Any) -> StyledLines:
    """Return a class name in at most MOST_NAME_LINES lines.

    A path that is too long is cut at its beginning, because its end distinguishes it from other paths.
    """

    def wrapped(text: str) -> list[str]:
        return wrap(prefix + text, PHOTO, lines=MOST_NAME_LINES, size=FONT_SIZE, bold="weight" in style)

    lines, path_end = wrapped(name), name
    while lines[-1].endswith("…") and PATH_SEPARATOR in path_end:
        path_end = path_end.partition(PATH_SEPARATOR)[2]
        lines = wrapped(f"…/{path_end}")
    return [(line, style) for line in lines]


def format_probability(probability: float) -> str:
    """Return a probability as `97 %`; `>99 %` or `<1 %` if rounding to 100 % or 0 % would be wrong."""
    text = f"{100 * probability:.0f} %"
    return {"100 %": ">99 %", "0 %": "<1 %"}.get(text, text) if 0 < probability < 1 else text


def _draw_photo(axes: Axes, image: NDArray[np.uint8], left: int, top: int, *, is_error: bool) -> None:
    """Draw a photo in the centre of its square; an error has a frame and a cross in the corner."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left, top), PHOTO, PHOTO, color="#f3f3f3", linewidth=0))
    height, width = image.shape[:2]
    x, y = left + (PHOTO - width) // 2, top + (PHOTO - height) // 2
    axes.imshow(image, extent=(x, x + width, y + height, y), interpolation="none", aspect="auto", zorder=2)
    if not is_error:
        return
    points, side = FRAME * 72 / DPI, PHOTO - FRAME
    corner = (left + FRAME / 2, top + FRAME / 2)
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=ERROR_COLOUR, linewidth=points, zorder=3))
    axes.add_patch(Rectangle((left, top), CROSS, CROSS, color=ERROR_COLOUR, linewidth=0, zorder=3))
    for xs in ((left + 12, left + CROSS - 10), (left + CROSS - 10, left + 12)):
        _draw_stroke(axes, xs, (top + 12, top + CROSS - 10))


def _draw_stroke(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.plot(xs, ys, color="white", linewidth=1.8, solid_capstyle="round", zorder=4, scalex=False, scaley=False)
