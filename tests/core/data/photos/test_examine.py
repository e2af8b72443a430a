from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from prodrec.core.base.errors import NotFound, ProdrecError
from prodrec.core.data.photos.examine import (
    OVER_LIMIT,
    TRUNCATED,
    UNDECODABLE,
    Examined,
    PhotoRules,
    UnusablePhoto,
    examine,
    examine_all,
    open_upright,
)
from prodrec.core.data.photos.sources import PhotoLocation

PATCHES = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PATCHES).resize((64, 48), Image.Resampling.BICUBIC)
ORIENTATION = 0x0112


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(open_upright(data)[0].convert("RGB"))


def look(tmp_path: Path, *photos: bytes, **rules: int | bool) -> Examined:
    places = []
    for i, data in enumerate(photos):
        (tmp_path / str(i)).write_bytes(data)
        places.append(PhotoLocation(str(tmp_path / str(i))))
    return examine(places, PhotoRules(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOENT, NotFound), (errno.ESTALE, ProdrecError), (errno.EIO, ProdrecError)]
)
def test_a_photo_that_this_machine_cannot_reach_is_not_undecodable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[ProdrecError]
) -> None:
    def read(place: PhotoLocation) -> bytes:
        raise OSError(number, os.strerror(number), place.file)

    monkeypatch.setattr(PhotoLocation, "read", read)
    with pytest.raises(kind, match=r"a\.jpg was listed, and .* photos must lie where all machines") as caught:
        examine([PhotoLocation(str(tmp_path / "a.jpg"))], PhotoRules())
    assert os.strerror(number) in str(caught.value) and type(caught.value) is kind


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_formats_without_loss(kind: str) -> None:
    picture = PICTURE.convert("P") if kind == "GIF" else PICTURE
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert np.array_equal(pixels(encode(picture, kind, **options)), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "RGBA", "PA"])
def test_modes(mode: str) -> None:
    picture = PICTURE.convert("P").convert("PA") if mode == "PA" else PICTURE.convert(mode)
    kind = "TIFF" if mode in ("CMYK", "PA") else "PNG"
    assert np.array_equal(pixels(encode(picture, kind)), np.asarray(picture.convert("RGB")))


def test_cmyk_jpeg() -> None:
    found = pixels(encode(PICTURE.convert("CMYK"), "JPEG", quality=100, subsampling=0)).astype(int)
    assert np.abs(found - np.asarray(PICTURE)).mean() < 2


def test_alpha_lies_over_white() -> None:
    picture = PICTURE.convert("RGBA")
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:24] = 255
    picture.putalpha(Image.fromarray(alpha))
    found = pixels(encode(picture))
    assert np.array_equal(found[:24], np.asarray(PICTURE)[:24])
    assert (found[24:] == 255).all()


def test_transparent_colours() -> None:
    grey = Image.new("L", (10, 10), 7)
    grey.putpixel((3, 3), 90)
    assert pixels(encode(grey, transparency=7))[0, 0].tolist() == [255, 255, 255]
    palette = Image.new("P", (10, 10), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    assert pixels(encode(palette, transparency=1))[0, 0].tolist() == [255, 255, 255]


def test_sixteen_bits() -> None:
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64)
    grey = Image.fromarray(values.astype(np.uint16))
    assert np.array_equal(pixels(encode(grey))[..., 0], (values.astype(np.uint16) >> 8).astype(np.uint8))
    floats = Image.fromarray((values / 65535).astype(np.float32))
    assert pixels(encode(floats, "TIFF")).max() == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    image, plain = open_upright(encode(PICTURE, kind, exif=exif, **options))
    assert image.size == ((48, 64) if orientation > 4 else (64, 48))
    assert plain == (kind == "JPEG" and orientation == 1)
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}[orientation]
    expected = PICTURE if back is None else PICTURE.transpose(Image.Transpose(back))
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - np.asarray(expected)).mean() < 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", TRUNCATED),
        (b"<html>404 Not Found</html>", UNDECODABLE),
        (bytes(600), UNDECODABLE),
        (b"\xff\xd8\xff\xe0" + bytes(50), UNDECODABLE),
        (encode(PICTURE)[:20], TRUNCATED),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNDECODABLE),
    ],
)
def test_undecodable(data: bytes, reason: str) -> None:
    with pytest.raises(UnusablePhoto) as error:
        open_upright(data)
    assert error.value.reason == reason and str(error.value)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated(kind: str, share: float) -> None:
    data = encode(PICTURE.resize((300, 200)), kind)
    with pytest.raises(UnusablePhoto) as error:
        open_upright(data[: int(len(data) * share)])
    assert error.value.reason == TRUNCATED


def test_pixel_limit_is_judged_before_decoding() -> None:
    data = encode(PICTURE)
    with pytest.raises(UnusablePhoto, match="64 x 48 pixels") as error:
        open_upright(data[:100], pixel_limit=64 * 48 - 1)
    assert error.value.reason == OVER_LIMIT
    assert open_upright(data, pixel_limit=64 * 48)[0].size == (64, 48)


def test_limit_of_pil_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert open_upright(encode(PICTURE))[0].size == (64, 48)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_small_plain_jpegs_keep_their_bytes(tmp_path: Path) -> None:
    colour, grey = encode(PICTURE, "JPEG", quality=70), encode(PICTURE.convert("L"), "JPEG", quality=70)
    found = look(tmp_path, colour, grey, size=48)
    assert found.stored == [colour, grey]
    assert found.sizes.tolist() == [[64, 48], [64, 48]]


def test_everything_else_is_stored_as_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    photos = [encode(PICTURE), encode(PICTURE, "JPEG", exif=exif), encode(PICTURE.convert("CMYK"), "JPEG")]
    found = look(tmp_path, *photos, size=48)
    for data, size in zip(found.stored, [(64, 48), (48, 64), (64, 48)], strict=True):
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode, image.size, image.getexif().get(ORIENTATION)) == (
                "JPEG",
                "RGB",
                size,
                None,
            )
    assert np.abs(pixels(found.stored[0]).astype(int) - np.asarray(PICTURE)).mean() < 1.5


def test_large_photos_are_resized_once(tmp_path: Path) -> None:
    found = look(
        tmp_path, encode(PICTURE.resize((400, 300)), "JPEG", quality=95), encode(PICTURE.resize((20, 90))), size=30
    )
    assert found.sizes.tolist() == [[40, 30], [20, 90]]
    expected = np.asarray(PICTURE.resize((400, 300)).resize((40, 30), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(pixels(found.stored[0]).astype(int) - expected).mean() < 2


def test_in_place_stores_nothing(tmp_path: Path) -> None:
    found = look(tmp_path, encode(PICTURE), size=20, store=False)
    assert found.stored == [b""] and found.sizes.tolist() == [[64, 48]]


def test_hashes_see_pixels_only(tmp_path: Path) -> None:
    """The same pixels in other formats are the same photo; one other pixel or another shape is not."""
    other = PICTURE.copy()
    other.putpixel((5, 5), (1, 2, 3))
    grey = PICTURE.convert("L")
    found = look(
        tmp_path,
        *(encode(PICTURE), encode(PICTURE, "BMP"), encode(PICTURE.convert("RGBA")), encode(other)),
        *(encode(grey), encode(grey.convert("RGB"))),
        encode(Image.new("RGB", (4, 2))),
        encode(Image.new("RGB", (2, 4))),
    )
    digests = [digest.tobytes() for digest in found.digests]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert digests[4] == digests[5] and len(set(digests)) == 5
    assert found.hashes[0] == found.hashes[1]


def test_problems_are_told_by_photo(tmp_path: Path) -> None:
    good = encode(PICTURE)
    found = look(tmp_path, good, b"nothing", good, encode(PICTURE.resize((400, 300)))[:9000], pixel_limit=200_000)
    assert {photo: reason for photo, (reason, _) in found.problems.items()} == {1: UNDECODABLE, 3: TRUNCATED}
    assert [bool(data) for data in found.stored] == [True, False, True, False]
    unreadable = examine([PhotoLocation(str(tmp_path / "0"), 0, 9, deflated=True)], PhotoRules())
    assert [reason for reason, _ in unreadable.problems.values()] == [UNDECODABLE]


def test_workers_change_nothing(tmp_path: Path) -> None:
    places = []
    for i in range(150):
        path = tmp_path / f"{i}.png"
        path.write_bytes(encode(PICTURE.rotate(i)) if i % 50 else b"broken")
        places.append(PhotoLocation(str(path)))
    alone = list(examine_all(places, PhotoRules(size=32), workers=1))
    shared = list(examine_all(places, PhotoRules(size=32), workers=2))
    assert len(alone) == len(shared) == 3
    for a, b in zip(alone, shared, strict=True):
        assert a.problems == b.problems and a.stored == b.stored
        assert np.array_equal(a.digests, b.digests) and np.array_equal(a.hashes, b.hashes)
        assert np.array_equal(a.sizes, b.sizes)
