"""Photos as paths, bytes, Pillow images and arrays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prodrec.core.base.errors import BadPhoto, NotFound
from prodrec.inference.photo_inputs import as_list, encoded_bytes

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def decoded(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_every_kind_gives_the_same_pixels(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for photo in (tmp_path / "a.png", str(tmp_path / "a.png"), data, image, PIXELS):
        assert np.array_equal(decoded(encoded_bytes(photo)), PIXELS)
    assert encoded_bytes(data) is data


def test_one_photo_or_several() -> None:
    image = Image.fromarray(PIXELS)
    for photo in (Path("a.jpg"), "a.jpg", b"bytes", image, PIXELS):
        assert as_list(photo) == [photo] or as_list(photo)[0] is photo
    assert as_list(["a.jpg", b"bytes"]) == ["a.jpg", b"bytes"]
    assert len(as_list(np.stack([PIXELS, PIXELS]))) == 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (PIXELS.astype(np.float32), r"float32 \[6, 4, 3\]"),
        (PIXELS[..., :2], r"uint8 \[6, 4, 2\]"),
        (PIXELS[:0], r"uint8 \[0, 4, 3\]"),
        (7, "int"),
    ],
)
def test_what_is_no_photo_is_refused(array: Any, message: str) -> None:
    with pytest.raises(BadPhoto, match=message + ".*expected uint8 .height, width, 3."):
        encoded_bytes(array)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(NotFound, match=r"absent\.jpg does not exist"):
        encoded_bytes("absent.jpg")
