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


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBX", "RGBA", "LA", "P", "L", "1", "F", "I"])
def test_pillow_images_of_all_modes(mode: str) -> None:
    picture = Image.fromarray(PIXELS)
    image = (picture.convert("L") if mode in ("F", "I") else picture).convert(mode)
    expected = (picture.convert("L") if mode in ("F", "I") else image).convert("RGB")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encoded_bytes(image))).convert("RGB")), np.asarray(expected))


def test_an_opened_image_is_turned_like_its_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(decoded(encoded_bytes(Image.open(tmp_path / "a.png"))), np.rot90(PIXELS, -1))


def test_pillow_images_that_cannot_be_used(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    for image in (Image.new("RGB", (0, 4)), Image.open(tmp_path / "cut.png")):
        with pytest.raises(BadPhoto, match=rf"a Pillow image of mode {image.mode} .* cannot be used"):
            encoded_bytes(image)


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
