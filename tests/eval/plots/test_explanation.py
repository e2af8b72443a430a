"""Saliency: brightness follows the weights, what the network does not see is white, and any shape is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import OutputExists
from prodrec.eval.plots.explanation import MIN_BRIGHTNESS, UNSEEN, apply_weights, draw_saliency

GREY = np.full((40, 60, 3), 100, np.uint8)
WHOLE = (slice(0, 80), slice(0, 120))


def test_the_photo_is_as_bright_as_the_weights() -> None:
    weights = np.array([[0, 0, 1.2], [0, 0, 0]], np.float32)
    seen, weighted = apply_weights(GREY, (80, 120), weights, *WHOLE)
    assert seen == (slice(0, 40), slice(0, 60))
    assert weighted[5, 55].tolist() == [100] * 3 and weighted[35, 5].tolist() == [round(100 * MIN_BRIGHTNESS)] * 3
    assert 100 * MIN_BRIGHTNESS < weighted[5, 40, 0] < 100, "between the centres of cells it is in between"
    negative = apply_weights(GREY, (80, 120), weights - 1.2, *WHOLE)[1]
    assert np.abs(negative.astype(int) - weighted).max() <= 1, "the scale begins at the smallest if it is negative"


def test_nearly_equal_weights_look_nearly_equal() -> None:
    assert np.array_equal(apply_weights(GREY, (80, 120), np.full((3, 3), 0.5, np.float32), *WHOLE)[1], GREY)
    assert np.array_equal(apply_weights(GREY, (80, 120), np.zeros((3, 3), np.float32), *WHOLE)[1], GREY)
    weights = np.full((3, 3), 0.5, np.float32)
    weights[0, 0] = 0.49
    assert apply_weights(GREY, (80, 120), weights, *WHOLE)[1].min() == 98


def test_what_is_not_seen_is_white() -> None:
    seen, weighted = apply_weights(GREY, (80, 120), np.ones((2, 2), np.float32), slice(0, 80), slice(20, 100))
    assert seen == (slice(0, 40), slice(10, 50))
    assert (
        (weighted[:, :10] == UNSEEN).all() and (weighted[:, 50:] == UNSEEN).all() and (weighted[:, 10:50] == 100).all()
    )


@pytest.mark.parametrize(("height", "width"), [(30, 30), (200, 20), (20, 200), (900, 1200)])
def test_any_shape_is_drawn_with_its_legend(tmp_path: Path, height: int, width: int) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (3, height, width), dtype=np.uint8)
    side = min(height, width)
    rows, columns = slice((height - side) // 2, (height + side) // 2), slice((width - side) // 2, (width + side) // 2)
    weights = np.array([[0.25, 0.5], [0.5, 0.75]], np.float32)
    draw_saliency(photo, weights, rows, columns, tmp_path / "a.svg", title="shoe $x$.jpg", note="leaf: Shoes 97 %")
    text = (tmp_path / "a.svg").read_text("utf-8")
    for part in ("shoe $x$.jpg", "leaf: Shoes 97 %", ">0<", ">0.375<", ">0.75<"):
        assert part in text
    assert ("dashed" in text) == (height != width)


def test_pictures_are_not_replaced_without_force(tmp_path: Path) -> None:
    photo, weights = np.zeros((3, 9, 9), np.uint8), np.ones((1, 1), np.float32)
    for force in (False, True):
        draw_saliency(photo, weights, slice(0, 9), slice(0, 9), tmp_path / "a.png", title="a", force=force)
    with pytest.raises(OutputExists, match="--force"):
        draw_saliency(photo, weights, slice(0, 9), slice(0, 9), tmp_path / "a.png", title="a")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
