"""Photos fit their box whole, whatever their shape, and tiny ones keep their pixels."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.data.photos.thumbnails import fit_box


@pytest.mark.parametrize(
    ("height", "width", "fitted"),
    [
        (80, 60, (40, 30)),
        (60, 80, (30, 40)),
        (1, 900, (1, 40)),
        (900, 1, (40, 1)),
        (1, 1, (40, 40)),
        (20, 20, (40, 40)),
    ],
)
def test_the_whole_photo_fits_its_box(height: int, width: int, fitted: tuple[int, int]) -> None:
    assert fit_box(np.full((3, height, width), 7, np.uint8), (40, 40)).shape == (*fitted, 3)


def test_channels_and_corners_keep_their_positions() -> None:
    photo_CHW = np.zeros((3, 4, 4), np.uint8)
    photo_CHW[0, :2, :2], photo_CHW[2, 2:, 2:] = 200, 100
    fitted = fit_box(photo_CHW, (40, 40))
    assert fitted[0, 0].tolist() == [200, 0, 0] and fitted[-1, -1].tolist() == [0, 0, 100]


def test_tiny_photos_keep_their_pixels_and_larger_ones_are_smooth() -> None:
    board = (np.indices((10, 10)).sum(0) % 2 * 255).astype(np.uint8)
    assert set(np.unique(fit_box(np.stack([board] * 3), (40, 40)))) == {0, 255}
    assert len(np.unique(fit_box(np.stack([board] * 3), (30, 30)))) > 2
