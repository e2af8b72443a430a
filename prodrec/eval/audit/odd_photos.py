"""Photos that cannot show a product well, by plain statistics of their pixels.

    blank      nearly one colour: the 1st and the 99th percentile of brightness differ by less than BLANK_RANGE
    dark       the 95th percentile of brightness is below DARK
    blurred    the edges are much weaker than in the other photos of the dataset: with s the variance of the Laplacian
               as a share of the variance of brightness, log s is more than BLUR_SPREADS spreads below the median
    shape      width / height differs from the median of the dataset by more than the factor SHAPE_FACTOR

Brightness is from 0 to 255. A photo has at most one kind, the first that applies.

Shapes: H×W pixels, N photos.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLANK_RANGE = 12.0
DARK = 50.0
BLUR_SPREADS = 5.0
"""Spreads are 1.48 times the median deviation, which is the standard deviation of normal values."""
SHAPE_FACTOR = 2.0
MOST_PIXELS = 128 * 128
"""Larger photos are examined in steps of several pixels: thumbnails and large photos are then comparable."""
TEXTS = {
    "blank": "the photo is nearly one colour",
    "dark": "the photo is very dark",
    "blurred": "the photo is much more blurred than others",
    "shape": "the photo has another shape than the others",
}


@dataclass(frozen=True)
class PhotoStatistics:
    """Statistics of one photo: percentiles of brightness, the strength of edges, and width / height."""

    range_: float
    bright: float
    sharpness: float
    aspect: float

    @classmethod
    def of(cls, photo_CHW: NDArray[np.uint8]) -> PhotoStatistics:
        """Return the statistics of a photo, uint8 [3, H, W]."""
        _, height, width = photo_CHW.shape
        step = max(1, int(np.sqrt(height * width / MOST_PIXELS)))
        grey_HW = photo_CHW[:, ::step, ::step].astype(np.float32).mean(axis=0)
        low, high, bright = np.percentile(grey_HW, (1, 99, 95)).tolist()
        variance = float(grey_HW.var())
        sharpness = float(_laplacian(grey_HW).var()) / variance if variance > 0 and min(grey_HW.shape) > 2 else 0.0
        return cls(high - low, bright, sharpness, width / height)


def _laplacian(grey_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    inner_HW = grey_HW[1:-1, 1:-1]
    around_HW = grey_HW[:-2, 1:-1] + grey_HW[2:, 1:-1] + grey_HW[1:-1, :-2] + grey_HW[1:-1, 2:]
    return around_HW - 4 * inner_HW


def odd_photos(statistics: list[PhotoStatistics]) -> dict[int, str]:
    """Return the kind of every odd photo, by its position."""
    if not statistics:
        return {}
    range_N, bright_N, sharpness_N, aspect_N = (
        np.array(values)
        for values in zip(*((s.range_, s.bright, s.sharpness, s.aspect) for s in statistics), strict=True)
    )
    log_sharpness_N = np.log(np.maximum(sharpness_N, 1e-9))
    median = np.median(log_sharpness_N)
    spread = max(1.48 * float(np.median(np.abs(log_sharpness_N - median))), 0.1)
    tests = {
        "blank": range_N < BLANK_RANGE,
        "dark": bright_N < DARK,
        "blurred": log_sharpness_N < median - BLUR_SPREADS * spread,
        "shape": np.abs(np.log(aspect_N / np.median(aspect_N))) > np.log(SHAPE_FACTOR),
    }
    kinds: dict[int, str] = {}
    for kind, is_kind_N in tests.items():
        for position in np.flatnonzero(is_kind_N).tolist():
            kinds.setdefault(position, kind)
    return dict(sorted(kinds.items()))
