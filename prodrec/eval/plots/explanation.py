"""Draws where a network looks: the photo, and beside it the photo as bright as the spatial attention weighs (S fig. 2).

Shapes: C=3 channels, H×W the photo, h×w the grid of the attention, which lies over the part of the photo that is seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.photos.thumbnails import fit_box, resize_grid
from prodrec.eval.plots.style import DPI, drawing_style, new_figure, save, without_font, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOX = 480
GAP = 40
MARGIN = 40
LINE = 34
BAR = 28
NARROWEST = 300
"""Pixels, of which 200 are an inch."""
DARKEST = 0.08
"""Brightness where the weight is smallest, so that the photo's shapes can still be made out."""
UNSEEN = 255


def draw_saliency(
    photo_CHW: NDArray[np.uint8],
    weights_hw: NDArray[np.float32],
    rows: slice,
    columns: slice,
    path: Path,
    *,
    title: str,
    note: str = "",
    force: bool = False,
) -> str:
    """Draw the attention's weights over `rows` and `columns` of the photo to `path` (PNG, SVG or PDF).

    Weights between the centres of grid cells are interpolated; brightness rises linearly from the smallest weight to
    the largest, whose values stand beside the bar. Returns the characters for which no font is installed.
    Raises OutputExists.
    """
    photo = fit_box(photo_CHW, (BOX, BOX))
    seen, lit = light(photo, photo_CHW.shape[1:], weights_hw, rows, columns)
    height, width = photo.shape[:2]
    room = 2 * max(width, NARROWEST) + GAP
    with drawing_style():
        head = wrap(title, room, lines=2, size=9, bold=True)
        notes = wrap(note, room, lines=2, size=7)
        above = MARGIN + (len(head) + len(notes) + 1) * LINE + 10
        sheet = (room + 2 * MARGIN + 190, above + max(height, 220) + MARGIN)
        figure = new_figure((sheet[0] / DPI, sheet[1] / DPI))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, sheet[0]), ylim=(sheet[1], 0))
        axes.set_axis_off()
        for i, text in enumerate(head):
            axes.text(MARGIN, MARGIN + 14 + i * LINE, text, size=9, weight="bold")
        for i, text in enumerate(notes, start=len(head)):
            axes.text(MARGIN, MARGIN + 14 + i * LINE, text, size=7, color="#444444")
        second = MARGIN + max(width, NARROWEST) + GAP
        cropped = seen != (slice(0, height), slice(0, width))
        first = "photo (dashed: the part seen)" if cropped else "photo"
        for left, name, image in ((MARGIN, first, photo), (second, "as bright as its weight", lit)):
            axes.text(left, above - 12, name, size=7)
            place = (left, left + width, above + height, above)
            axes.imshow(image, extent=place, interpolation="none", aspect="auto")
        if cropped:
            _outline(axes, seen, MARGIN, above)
        _legend(axes, weights_hw, second + max(width, NARROWEST) + 30, above, max(height, 220))
        save(figure, path, kind="explain", force=force, crop=False)
        return without_font([title, note])


def light(
    photo: NDArray[np.uint8],
    shape: tuple[int, ...],
    weights_hw: NDArray[np.float32],
    rows: slice,
    columns: slice,
) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    """Where the part that the network sees lies in `photo` (uint8 [h, w, 3], scaled from `shape`), and the photo lit.

    Inside that part each pixel is as bright as its weight, outside it is white. Equal weights are all bright.
    """
    height, width = photo.shape[:2]
    seen_rows = slice(round(rows.start * height / shape[0]), round(rows.stop * height / shape[0]))
    seen_columns = slice(round(columns.start * width / shape[1]), round(columns.stop * width / shape[1]))
    inside = photo[seen_rows, seen_columns]
    spread = float(weights_hw.max() - weights_hw.min())
    level_hw = (weights_hw - weights_hw.min()) / spread if spread > 1e-6 else np.ones_like(weights_hw)
    brightness = DARKEST + (1 - DARKEST) * resize_grid(level_hw, inside.shape[:2])
    lit = np.full_like(photo, UNSEEN)
    lit[seen_rows, seen_columns] = np.rint(inside * brightness[:, :, None]).astype(np.uint8)
    return (seen_rows, seen_columns), lit


def _outline(axes: Axes, seen: tuple[slice, slice], left: int, above: int) -> None:
    """A dashed line around the part of the photo that the network sees."""
    from matplotlib.patches import Rectangle

    rows, columns = seen
    corner, size = (left + columns.start, above + rows.start), (columns.stop - columns.start, rows.stop - rows.start)
    for colour, style in (("white", "-"), ("black", (0, (4, 3)))):
        look: dict[str, Any] = {"edgecolor": colour, "linestyle": style, "linewidth": 0.9}
        axes.add_patch(Rectangle(corner, *size, fill=False, zorder=3, **look))


def _legend(axes: Axes, weights_hw: NDArray[np.float32], left: int, above: int, height: int) -> None:
    """A bar from the smallest weight (dark) to the largest (bright)."""
    low, high = float(weights_hw.min()), float(weights_hw.max())
    if high - low <= 1e-6:
        axes.text(left, above + 12, f"all weights\nare {high:.3g}", size=7, va="top")
        return
    ramp = np.linspace(1, DARKEST, 256)[:, None].repeat(2, axis=1)
    place = (left, left + BAR, above + height, above)
    axes.imshow(ramp, extent=place, cmap="gray", vmin=0, vmax=1, interpolation="bilinear", aspect="auto")
    for share in (0, 0.5, 1):
        y = above + height * (1 - share)
        axes.plot((left + BAR, left + BAR + 8), (y, y), color="black", linewidth=0.7, scalex=False, scaley=False)
        axes.text(left + BAR + 14, y, f"{low + share * (high - low):.3g}", size=7, va="center")
