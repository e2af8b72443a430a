"""What an index reads of photos: hashes that a table and its dataset share, views, thumbnails and problems."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prodrec.core.data.dataset import open_dataset
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.locations import PhotoLocation
from prodrec.core.data.photos.thumbnails import jpeg_thumbnail
from prodrec.core.data.photos.upright import PhotoRejected
from prodrec.core.data.photos.views import centre_view, read_stored_photo
from prodrec.index import photos as module
from prodrec.index.photos import THUMBNAIL_SIDE, GivenProduct, hash_bytes, see_photo, see_products

PHOTOS = PhotoConfig(image_size="32")


def product(*files: Path, title: str = "red shoe") -> GivenProduct:
    locations = tuple(PhotoLocation(str(file)) for file in files)
    return GivenProduct("P1", title, ("Shoes",), (("colour", "red"),), locations, tuple(range(2, 2 + len(files))))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for number, size in enumerate([(40, 30), (300, 400), (40, 30)]):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        made.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(made[-1])
    return made


def test_a_stored_photo_and_its_file_have_the_same_hash_and_view(drawn: Any, drawn_dataset: Path) -> None:
    data = open_dataset(drawn_dataset)
    side = data.header["photos"]["size"]
    for row, name in list(enumerate(data.products()["image"].to_list()))[:20]:
        stored = see_photo(data.photos.location(row).read(), stored_side=side, photos=PHOTOS)  # type: ignore[union-attr]
        assert stored.photo_hash == hash_bytes(data.photos.read(row))  # type: ignore[union-attr]
        expected_CHW = centre_view(read_stored_photo(data.photos, row), PHOTOS)  # type: ignore[arg-type]
        assert np.array_equal(stored.view_CHW, expected_CHW.numpy())
        file = next(file for file in drawn.photos.rglob("*") if file.name == Path(name).name)
        of_file = see_photo(file.read_bytes(), stored_side=side, photos=PHOTOS)
        assert of_file.photo_hash == stored.photo_hash and np.array_equal(of_file.view_CHW, stored.view_CHW)


def test_an_unchanged_product_is_recognised(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = see_products([(product(*files), None)], stored_side=64, photos=PHOTOS)
    assert len(seen.photos) == 3 and not seen.is_unchanged and seen.photos[1].view_CHW.shape == (3, 32, 32)
    known = (seen.given.text_hash, tuple(photo.photo_hash for photo in seen.photos))
    (again,) = see_products([(product(*files), known)], stored_side=64, photos=PHOTOS)
    assert again.is_unchanged and again.photos == ()
    for changed in (product(*files, title="blue shoe"), product(*files[:2]), product(files[1], files[0], files[2])):
        (other,) = see_products([(changed, known)], stored_side=64, photos=PHOTOS)
        assert not other.is_unchanged and len(other.photos) == len(changed.photos)
    stored = [file.with_suffix(".jpg") for file in files]
    for file, jpeg in zip(files, stored, strict=True):
        Image.open(file).save(jpeg, quality=95)
    (seen,) = see_products([(product(*stored), None)], stored_side=512, photos=PHOTOS)
    known = (seen.given.text_hash, tuple(photo.photo_hash for photo in seen.photos))
    monkeypatch.setattr(module, "see_photo", None)
    (again,) = see_products([(product(*stored), known)], stored_side=512, photos=PHOTOS)
    assert again.is_unchanged, "small JPEGs are not even decoded"


def test_photos_that_cannot_be_used_are_named_and_repeated_ones_count_once(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    (tmp_path / "empty.jpg").touch()
    given = product(files[0], tmp_path / "broken.jpg", tmp_path / "none.jpg", files[0], tmp_path / "empty.jpg")
    (seen,) = see_products([(given, None)], stored_side=64, photos=PHOTOS)
    assert len(seen.photos) == 1
    assert [(row, reason) for row, reason, _ in seen.problems] == [
        (3, "truncated"),
        (4, "undecodable"),
        (6, "truncated"),
    ]
    with pytest.raises(PhotoRejected):
        see_photo(b"", stored_side=None, photos=PHOTOS)


def test_text_hashes_differ_by_every_part() -> None:
    one = product()
    others = [
        replace(one, title="x"),
        replace(one, path=()),
        replace(one, attributes=()),
        replace(one, path=("Shoes", "x")),
    ]
    assert len({one.text_hash, *(other.text_hash for other in others)}) == 5
    assert replace(one, sku="other", rows=()).text_hash == one.text_hash


@pytest.mark.parametrize("size", [(400, 300), (30, 200), (20, 10), (1, 1)])
def test_thumbnails_are_small_and_keep_their_shape(size: tuple[int, int]) -> None:
    photo_CHW = np.full((3, size[1], size[0]), 90, np.uint8)
    with Image.open(io.BytesIO(jpeg_thumbnail(photo_CHW, THUMBNAIL_SIDE))) as image:
        factor = min(1, THUMBNAIL_SIDE / max(size))
        assert image.format == "JPEG" and image.size == pytest.approx([side * factor for side in size], abs=1)
