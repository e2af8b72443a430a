"""A photo that is in no dataset is read as `prepare` and training read those that are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from prodrec.core.base.errors import BadPhoto
from prodrec.core.data.batches import read_photo
from prodrec.core.data.photos.examine import PhotoRules, examine
from prodrec.core.data.photos.sources import PhotoLocation


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize("size", [(90, 60), (700, 400)])
def test_as_prepare_stores_it(tmp_path: Path, mode: str, suffix: str, size: tuple[int, int]) -> None:
    if suffix == "JPEG" and mode in ("RGBA", "P"):
        mode = "CMYK"
    noise = np.random.default_rng(0).integers(0, 255, (size[1] // 10, size[0] // 10, 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA").resize(size)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    stream = io.BytesIO()
    image.convert(mode).save(stream, suffix, **({"exif": exif} if suffix in ("JPEG", "WEBP") else {}))
    path = tmp_path / "photo"
    path.write_bytes(stream.getvalue())
    for side in (256, 100):
        (stored,) = examine([PhotoLocation(str(path), 0, len(stream.getvalue()), False)], PhotoRules(size=side)).stored
        found = read_photo(stream.getvalue(), stored_side=side).numpy()
        assert np.array_equal(found, simplejpeg.decode_jpeg(stored, strict=False).transpose(2, 0, 1))
        assert min(found.shape[1:]) == min(side, *size) and found.shape[0] == 3
        assert (found.shape[1] > found.shape[2]) == (suffix in ("JPEG", "WEBP")), "turned upright"
    as_it_is = read_photo(stream.getvalue(), stored_side=None)
    assert sorted(as_it_is.shape[1:]) == sorted(size)


def test_what_is_no_photo_is_told() -> None:
    with pytest.raises(BadPhoto, match="the photo cannot be used: undecodable, not a JPEG"):
        read_photo(b"nothing of the kind", stored_side=256)
