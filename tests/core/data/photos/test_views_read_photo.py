"""A photo from outside the dataset is read with the same pixels as one that `prepare` stored."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from prodrec.core.base.errors import BadPhoto
from prodrec.core.data.photos.examine import PhotoRules, examine
from prodrec.core.data.photos.locations import PhotoLocation
from prodrec.core.data.photos.views import read_photo


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize("size", [(90, 60), (700, 400)])
def test_pixels_are_those_that_prepare_stores(tmp_path: Path, mode: str, suffix: str, size: tuple[int, int]) -> None:
    if suffix == "JPEG" and mode in ("RGBA", "P"):
        mode = "CMYK"
    noise = np.random.default_rng(0).integers(0, 255, (size[1] // 10, size[0] // 10, 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA").resize(size)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    stream = io.BytesIO()
    image.convert(mode).save(stream, suffix, **({"exif": exif} if suffix in ("JPEG", "WEBP") else {}))
    path = tmp_path / "photo"
    path.write_bytes(stream.getvalue())
    for side in (256, 100):
        (stored,) = examine([PhotoLocation(str(path), 0, len(stream.getvalue()), False)], PhotoRules(size=side)).encoded
        photo_CHW = read_photo(stream.getvalue(), stored_side=side).numpy()
        assert np.array_equal(photo_CHW, simplejpeg.decode_jpeg(stored, strict=False).transpose(2, 0, 1))
        assert min(photo_CHW.shape[1:]) == min(side, *size) and photo_CHW.shape[0] == 3
        assert (photo_CHW.shape[1] > photo_CHW.shape[2]) == (suffix in ("JPEG", "WEBP")), "turned upright"
    in_place = read_photo(stream.getvalue(), stored_side=None)
    assert sorted(in_place.shape[1:]) == sorted(size)


def test_an_undecodable_photo_raises_bad_photo() -> None:
    with pytest.raises(BadPhoto, match="the photo cannot be used: undecodable, not a JPEG"):
        read_photo(b"not a photo", stored_side=256)


@pytest.mark.parametrize("size", [(70_000, 100), (1, 65_501)])
def test_strips_that_no_jpeg_can_store(tmp_path: Path, size: tuple[int, int]) -> None:
    stream = io.BytesIO()
    Image.new("L", size).save(stream, "PNG")
    path = tmp_path / "strip.png"
    path.write_bytes(stream.getvalue())
    problem = f"{size[0]} x {size[1]} pixels, and a JPEG has 65,500 at most"
    photos = examine([PhotoLocation(str(path))], PhotoRules()).photos
    assert photos.problem_P.tolist() == [1] and list(photos.problems)[1] == ("over the pixel limit", problem)
    with pytest.raises(BadPhoto, match=problem):
        read_photo(stream.getvalue(), stored_side=256)
    assert examine([PhotoLocation(str(path))], PhotoRules(store=False)).photos.problem_P.tolist() == [0]
