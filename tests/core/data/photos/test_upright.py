"""Photos of every format, mode and orientation as upright pixels, and those that are rejected."""

from __future__ import annotations

import io
import random
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from prodrec.core.data.photos.upright import OVER_LIMIT, TRUNCATED, UNDECODABLE, PhotoRejected, open_upright

PATCHES = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PATCHES).resize((64, 48), Image.Resampling.BICUBIC)
ORIENTATION = 0x0112

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(open_upright(data)[0].convert("RGB"))


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
    decoded = pixels(encode(PICTURE.convert("CMYK"), "JPEG", quality=100, subsampling=0)).astype(int)
    assert np.abs(decoded - np.asarray(PICTURE)).mean() < 2


def test_alpha_is_blended_with_white() -> None:
    picture = PICTURE.convert("RGBA")
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:24] = 255
    picture.putalpha(Image.fromarray(alpha))
    decoded = pixels(encode(picture))
    assert np.array_equal(decoded[:24], np.asarray(PICTURE)[:24])
    assert (decoded[24:] == 255).all()


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
    with pytest.raises(PhotoRejected) as error:
        open_upright(data)
    assert error.value.reason == reason and str(error.value)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated(kind: str, share: float) -> None:
    data = encode(PICTURE.resize((300, 200)), kind)
    with pytest.raises(PhotoRejected) as error:
        open_upright(data[: int(len(data) * share)])
    assert error.value.reason == TRUNCATED


def test_pixel_limit_is_checked_before_decoding() -> None:
    data = encode(PICTURE)
    with pytest.raises(PhotoRejected, match="64 x 48 pixels") as error:
        open_upright(data[:100], pixel_limit=64 * 48 - 1)
    assert error.value.reason == OVER_LIMIT
    assert open_upright(data, pixel_limit=64 * 48)[0].size == (64, 48)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_lacks_only_its_end_marker_is_kept(mode: str, options: dict[str, object]) -> None:
    data = encode(PICTURE.convert(mode).resize((203, 151)), "JPEG", **options)
    whole = pixels(data)
    for cut in (1, 2):
        image, plain = open_upright(data[:-cut])
        assert np.array_equal(np.asarray(image.convert("RGB")), whole) and not plain
    for cut in (3, 4, 5, 9, 20, len(data) // 4, len(data) // 2):  # now pixels are missing
        with pytest.raises(PhotoRejected) as error:
            open_upright(data[:-cut])
        assert error.value.reason == TRUNCATED


def test_a_progressive_jpeg_that_ends_between_scans_is_truncated() -> None:
    data = encode(PICTURE.resize((203, 151)), "JPEG", progressive=True)
    scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for end in scans[1:]:
        with pytest.raises(PhotoRejected) as error:
            open_upright(data[:end])
        assert error.value.reason == TRUNCATED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_cannot_be_written_again(kind: str) -> None:
    """A value that does not fit its tag costs neither the photo nor its rotation."""
    width = struct.pack("<HHIhh", 0x0100, 8, 1, -5, 0)  # negative, in a tag that Pillow writes as unsigned
    entries = struct.pack("<HHHIHH", 2, ORIENTATION, 3, 1, 6, 0) + width
    exif = b"Exif\0\0II*\0\x08\0\0\0" + entries + bytes(4)
    options = {"lossless": True} if kind == "WEBP" else {}
    image, plain = open_upright(encode(PICTURE, kind, exif=exif, **options))
    assert image.size == (48, 64) and not plain
    with pytest.raises(struct.error), Image.open(io.BytesIO(encode(PICTURE, kind, exif=exif, **options))) as opened:
        ImageOps.exif_transpose(opened)


@pytest.mark.parametrize("seed", range(60))
def test_mangled_exif_never_costs_the_photo(seed: int) -> None:
    draw = random.Random(seed)
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F], exif[0x011A] = draw.randrange(1, 9), "maker", 72.0
    exif.get_ifd(0x8769)[0x9000] = b"0231"
    data = bytearray(exif.tobytes())
    for _ in range(draw.randrange(1, 8)):
        data[draw.randrange(6, len(data))] = draw.randrange(256)
    image, _ = open_upright(encode(PICTURE, "JPEG", exif=bytes(data[: draw.randrange(8, len(data))])))
    assert sorted(image.size) == [48, 64]


def test_pillow_s_own_limit_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert open_upright(encode(PICTURE))[0].size == (64, 48)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_no_setting_of_other_threads_changes() -> None:
    """Pillow's limit and the filters of warnings are those of the whole program, at every moment of decoding."""
    limit, filters, seen = Image.MAX_IMAGE_PIXELS, list(warnings.filters), set()
    photos = [encode(PICTURE.resize((300, 200)), kind) for kind in ("JPEG", "PNG", "WEBP", "BMP")]
    photos.append(photos[0][:-2])

    def trace(*_: object) -> None:
        seen.add((Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, tuple(map(str, warnings.filters))))

    sys.setprofile(trace)
    try:
        for data in photos:
            open_upright(data)
    finally:
        sys.setprofile(None)
    assert seen == {(limit, False, tuple(map(str, filters)))}


def test_threads_decode_at_once() -> None:
    data, expected = encode(PICTURE), np.asarray(PICTURE)
    with ThreadPoolExecutor(8) as pool:
        assert all(np.array_equal(decoded, expected) for decoded in pool.map(pixels, [data] * 200))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>404</title>", "but a web page; fetch it again"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "but a web page"),
        (b"\0\0\0\x24ftypheic" + bytes(100), "but HEIC; convert it to JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "pointer of Git LFS; run git lfs pull"),
        (b"text", "AVIF photo"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "it begins as a photo, but its header is broken or incomplete"),
    ],
)
def test_what_is_often_named_as_a_photo(data: bytes, words: str) -> None:
    with pytest.raises(PhotoRejected, match=rf"{words}$|{words}; "):
        open_upright(data)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
@pytest.mark.parametrize("before", [True, False])
def test_long_texts_of_a_png_do_not_cost_the_photo(kind: bytes, before: bool) -> None:
    """Pillow refuses texts that inflate to more than a megabyte, and the photo with them."""
    packed = zlib.compress(bytes(3_000_000))
    body = b"Comment\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0") + packed
    text = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    data = encode(PICTURE)
    place = data.index(b"IDAT" if before else b"IEND") - 4
    assert np.array_equal(pixels(data[:place] + text + data[place:]), np.asarray(PICTURE))


def test_values_that_are_no_numbers(recwarn: pytest.WarningsRecorder) -> None:
    values = np.array([[0, 0.5], [np.nan, np.inf]], np.float32)
    assert pixels(encode(Image.fromarray(values), "TIFF"))[..., 0].tolist() == [[0, 127], [0, 0]]
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]
