"""Photos and maps of values, resized for plots.

Shapes: C=3 channels, H×W the size of the photo, h×w the size of the grid of values or of the result.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEAREST_FROM = 4
"""From this enlargement on, pixels are repeated: interpolation would show only a blur."""


def fit_box(photo_CHW: NDArray[np.uint8], box: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a photo to the largest size inside `box` (height, width), keeping its aspect ratio: uint8 [h, w, 3]."""
    height, width = photo_CHW.shape[1:]
    factor = min(box[0] / height, box[1] / width)
    size = max(1, min(box[1], round(width * factor))), max(1, min(box[0], round(height * factor)))
    image = Image.fromarray(np.ascontiguousarray(photo_CHW.transpose(1, 2, 0)))
    resampling = Image.Resampling.NEAREST if factor >= NEAREST_FROM else Image.Resampling.LANCZOS
    return np.asarray(image.resize(size, resampling, reducing_gap=3.0 if factor < 1 else None))


def resize_grid(values_hw: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a grid of values to `size` (height, width) by bilinear interpolation: float32."""
    grid = Image.fromarray(np.ascontiguousarray(values_hw, dtype=np.float32))
    return np.asarray(grid.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def jpeg_thumbnail(photo_CHW: NDArray[np.uint8], side: int, *, quality: int = 72) -> bytes:
    """Return a photo as a JPEG file that fits into a square of `side` pixels. A smaller photo is not enlarged."""
    height, width = photo_CHW.shape[1:]
    small_hwC = fit_box(photo_CHW, (min(side, height), min(side, width)))
    buffer = io.BytesIO()
    Image.fromarray(small_hwC).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
