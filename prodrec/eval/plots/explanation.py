"""Plots of where a network looks: the photo, and beside it the photo with weights as its brightness (S fig. 2).

Shapes: C=3 channels; H×W photo; y×x photo scaled to the plot; h×w grid of the weights, which covers the part of the
photo that the network sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.plot_style import new_figure
from prodrec.core.data.photos.thumbnails import fit_box, resize_grid
from prodrec.eval.plots.style import DPI, drawing_style, missing_characters, save, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PHOTO_BOX = 480
GAP = 40
MARGIN = 40
LINE = 34
SCALE_WIDTH = 28
MIN_PHOTO_WIDTH = 300
MIN_SCALE_HEIGHT = 220
SCALE_ROOM = 190
"""Sizes in pixels, of which 200 are an inch."""
MIN_BRIGHTNESS = 0.08
"""Brightness at a weight of 0, at which the shapes of the photo remain visible."""
UNSEEN = 255
"""Pixel value outside the part that the network sees: white."""


def draw_saliency(
    photo_CHW: NDArray[np.uint8],
    weights_hw: NDArray[np.float32],
    rows: slice,
    columns: slice,
    path: Path,
    *,
    title: str,
    weights_name: str = "its weight",
    note: str = "",
    force: bool = False,
) -> str:
    """Write a plot of the weights of the parts of a photo to `path` (PNG, SVG or PDF).

    Weights between the centres of grid cells are interpolated. The brightness rises linearly from 0, or from the
    smallest weight if it is negative, to the largest weight: weights that are nearly equal look nearly equal. A scale
    shows their values.

    rows, columns: the part of the photo that the network sees, in pixels; the grid of the weights covers it.
    title, note:   text above the plot.
    weights_name:  what the weights are, after "as bright as".

    Return the characters that no installed font has. Raise OutputExists.
    """
    photo = fit_box(photo_CHW, (PHOTO_BOX, PHOTO_BOX))
    seen, weighted = apply_weights(photo, photo_CHW.shape[1:], weights_hw, rows, columns)
    height, width = photo.shape[:2]
    photo_width, scale_height = max(width, MIN_PHOTO_WIDTH), max(height, MIN_SCALE_HEIGHT)
    text_width = 2 * photo_width + GAP
    with drawing_style():
        title_lines = wrap(title, text_width, lines=2, size=9, bold=True)
        note_lines = wrap(note, text_width, lines=2, size=7)
        top = MARGIN + (len(title_lines) + len(note_lines) + 1) * LINE + 10
        sheet_width, sheet_height = text_width + 2 * MARGIN + SCALE_ROOM, top + scale_height + MARGIN
        figure = new_figure((sheet_width / DPI, sheet_height / DPI), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, sheet_width), ylim=(sheet_height, 0))
        axes.set_axis_off()
        for i, text in enumerate(title_lines):
            axes.text(MARGIN, MARGIN + 14 + i * LINE, text, size=9, weight="bold")
        for i, text in enumerate(note_lines, start=len(title_lines)):
            axes.text(MARGIN, MARGIN + 14 + i * LINE, text, size=7, color="#444444")
        second_left = MARGIN + photo_width + GAP
        cropped = seen != (slice(0, height), slice(0, width))
        photo_name = "photo (dashed: the part seen)" if cropped else "photo"
        for left, name, image in ((MARGIN, photo_name, photo), (second_left, f"as bright as {weights_name}", weighted)):
            axes.text(left, top - 12, name, size=7)
            extent = (left, left + width, top + height, top)
            axes.imshow(image, extent=extent, interpolation="none", aspect="auto")
        if cropped:
            _draw_outline(axes, seen, MARGIN, top)
        _draw_scale(axes, weights_hw, second_left + photo_width + 30, top, scale_height)
        save(figure, path, kind="explain", force=force, crop=False)
        return missing_characters([title, note])


def apply_weights(
    photo_yxC: NDArray[np.uint8],
    original_shape: tuple[int, ...],
    weights_hw: NDArray[np.float32],
    rows: slice,
    columns: slice,
) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    """Return the part of the scaled photo that the network sees, and the photo with the weights as its brightness.

    original_shape: (H, W) of the photo before scaling, to which `rows` and `columns` refer. Outside of the part seen
    the result is white. If all weights are 0, the part seen has its original brightness.
    """
    height, width = photo_yxC.shape[:2]
    seen_rows = slice(round(rows.start * height / original_shape[0]), round(rows.stop * height / original_shape[0]))
    seen_columns = slice(
        round(columns.start * width / original_shape[1]), round(columns.stop * width / original_shape[1])
    )
    part = photo_yxC[seen_rows, seen_columns]
    low, high = _scale(weights_hw)
    relative_hw = (weights_hw - low) / (high - low) if high > low else np.ones_like(weights_hw)
    brightness_yx = MIN_BRIGHTNESS + (1 - MIN_BRIGHTNESS) * resize_grid(relative_hw, part.shape[:2])
    weighted_yxC = np.full_like(photo_yxC, UNSEEN)
    weighted_yxC[seen_rows, seen_columns] = np.rint(part * brightness_yx[:, :, None]).astype(np.uint8)
    return (seen_rows, seen_columns), weighted_yxC


def _draw_outline(axes: Axes, seen: tuple[slice, slice], left: int, top: int) -> None:
    """Draw a dashed line around the part of the photo that the network sees."""
    from matplotlib.patches import Rectangle

    rows, columns = seen
    corner = (left + columns.start, top + rows.start)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    for colour, line_style in (("white", "-"), ("black", (0, (4, 3)))):
        style: dict[str, Any] = {"edgecolor": colour, "linestyle": line_style, "linewidth": 0.9}
        axes.add_patch(Rectangle(corner, *size, fill=False, zorder=3, **style))


def _scale(weights_hw: NDArray[np.float32]) -> tuple[float, float]:
    """Return the weights of the least and the largest brightness."""
    return min(0.0, float(weights_hw.min())), max(0.0, float(weights_hw.max()))


def _draw_scale(axes: Axes, weights_hw: NDArray[np.float32], left: int, top: int, height: int) -> None:
    """Draw a scale from 0 (dark) to the largest weight (bright)."""
    low, high = _scale(weights_hw)
    if high == low:
        axes.text(left, top + 12, "all weights\nare 0", size=7, va="top")
        return
    ramp = np.linspace(1, MIN_BRIGHTNESS, 256)[:, None].repeat(2, axis=1)
    extent = (left, left + SCALE_WIDTH, top + height, top)
    axes.imshow(ramp, extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="bilinear", aspect="auto")
    for share in (0, 0.5, 1):
        y = top + height * (1 - share)
        xs = (left + SCALE_WIDTH, left + SCALE_WIDTH + 8)
        axes.plot(xs, (y, y), color="black", linewidth=0.7, scalex=False, scaley=False)
        axes.text(left + SCALE_WIDTH + 14, y, f"{low + share * (high - low):.3g}", size=7, va="center")
