"""Photos made to fit a box, for people to look at.

Shapes: C=3 channels, H×W the photo, h×w what fits the box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHARP_FROM = 4
"""A photo that grows by this factor or more shows its pixels: smoothing would leave nothing but a blur."""


def fit(photo_CHW: NDArray[np.uint8], box: tuple[int, int]) -> NDArray[np.uint8]:
    """The whole photo, as large as fits `box` (height, width): uint8 [h, w, 3]. Small ones are scaled up."""
    height, width = photo_CHW.shape[1:]
    factor = min(box[0] / height, box[1] / width)
    size = max(1, min(box[1], round(width * factor))), max(1, min(box[0], round(height * factor)))
    image = Image.fromarray(np.ascontiguousarray(photo_CHW.transpose(1, 2, 0)))
    how = Image.Resampling.NEAREST if factor >= SHARP_FROM else Image.Resampling.LANCZOS
    return np.asarray(image.resize(size, how, reducing_gap=3.0 if factor < 1 else None))


def stretch(values_hw: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """A grid of values as float32 of `size` (height, width), bilinear between the centres of its cells."""
    grid = Image.fromarray(np.ascontiguousarray(values_hw, dtype=np.float32))
    return np.asarray(grid.resize((size[1], size[0]), Image.Resampling.BILINEAR))
