"""Decode a photo file to upright RGB or grey pixels with 8 bits per channel.

The EXIF rotation is applied, palettes become RGB, transparent pixels are blended with white, CMYK is converted, and 16
bits are reduced to 8. Photos with the same pixels therefore give the same result, whatever the format of their files.

Photos are decoded in several threads of a program that may use Pillow as well, so no setting of Pillow is changed.
"""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from prodrec.core.data.photos.jpeg_end import END_MARKER, is_whole_without_end
from prodrec.core.data.photos.png_texts import SIGNATURE, without_texts

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")

UNDECODABLE, TRUNCATED, OVER_LIMIT = "undecodable", "truncated", "over the pixel limit"
"""Reasons, as in rejected.csv, why a photo cannot be used."""

_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo upright, by its orientation."""

_HEIC_TYPES = {b"ftypheic", b"ftypheix", b"ftypheim", b"ftypheis", b"ftyphevc", b"ftypmif1", b"ftypmsf1"}

_BMP_HEADER_BYTES = {12, 40, 52, 56, 64, 108, 124}
"""Lengths of the second header of a BMP file, which it begins with."""

# Pillow warns about unusual metadata, once for each kind. The filter is set once, because warnings.catch_warnings would
# change the filters of all threads; it comes last, so that the filters of a program take precedence.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.", append=True)


class PhotoRejected(Exception):
    """Raised for a photo that cannot be used. `reason` and the message are the reason and detail in rejected.csv."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def open_upright(data: bytes, *, pixel_limit: int | None = None) -> tuple[Image.Image, bool]:
    """Return the photo upright in mode RGB or L, and whether `data` already is an upright JPEG in this mode.

    Raise PhotoRejected. A photo with more than `pixel_limit` pixels is rejected before it is decoded.
    """
    if not data:
        raise PhotoRejected(TRUNCATED, "the file is empty")
    try:
        try:
            image, is_whole = _load(data, pixel_limit)
        except ValueError:
            if not data.startswith(SIGNATURE):
                raise
            image, is_whole = _load(without_texts(data), pixel_limit)  # Pillow limits the length of texts
        upright = _rotate_upright(image)
        is_plain_jpeg = image.format == "JPEG" and image.mode in ("RGB", "L") and upright is image and is_whole
        return _to_rgb_or_grey(upright), is_plain_jpeg
    except PhotoRejected:
        raise
    except UnidentifiedImageError as error:
        if is_photo(data):
            raise PhotoRejected(UNDECODABLE, "it begins as a photo, but its header is broken or incomplete") from error
        detail = f"not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF photo{_other_format(data)}"
        raise PhotoRejected(UNDECODABLE, detail) from error
    except Image.DecompressionBombError as error:
        raise PhotoRejected(OVER_LIMIT, str(error)) from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        text = str(error) or type(error).__name__
        reason = TRUNCATED if "truncated" in text.lower() or isinstance(error, EOFError) else UNDECODABLE
        raise PhotoRejected(reason, text) from error


def _load(data: bytes, pixel_limit: int | None) -> tuple[ImageFile.ImageFile, bool]:
    """Return the decoded image, and whether it is complete; a JPEG may lack its end marker."""
    image = _open(data)
    width, height = image.size
    if pixel_limit is not None and width * height > pixel_limit:
        raise PhotoRejected(OVER_LIMIT, f"{width} x {height} pixels")
    try:
        image.load()
    except OSError:
        if not (image.format in ("JPEG", "MPO") and is_whole_without_end(data)):
            raise
        image = _open(data + END_MARKER)
        image.load()
        return image, False
    return image, True


def _other_format(data: bytes) -> str:
    """Return what a file is instead of a photo, for those that are most often named as one; empty for others."""
    if data.startswith(b"version https://git-lfs"):
        return " but a pointer of Git LFS; run git lfs pull"
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return " but a web page; fetch it again"
    return " but HEIC; convert it to JPEG" if data[4:12] in _HEIC_TYPES else ""


def to_upright(image: Image.Image) -> Image.Image:
    """Return an image of any mode upright in mode RGB or L, as `open_upright` does the image of a file.

    Raise OSError or ValueError if it cannot be loaded or converted.
    """
    image.load()
    return _to_rgb_or_grey(_rotate_upright(image))


def crop_shares(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """Return a part of an image: left, top, right and bottom are shares of its width and height. It has a pixel."""
    left, top, right, bottom = (round(share * side) for share, side in zip(box, image.size * 2, strict=True))
    left, top = min(left, image.width - 1), min(top, image.height - 1)
    return image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def is_photo(start: bytes) -> bool:
    """Return whether the first bytes of a file, at least 18, are the signature of one of FORMATS."""
    if start[:2] == b"BM":  # two letters are too short a signature
        return int.from_bytes(start[14:18], "little") in _BMP_HEADER_BYTES
    return any(_accepts(kind, start) for kind in FORMATS)


def _accepts(kind: str, start: bytes) -> bool:
    """Return whether `start` is the signature of a format that this Pillow can decode."""
    if kind not in Image.OPEN:
        Image.init()
    if kind not in Image.OPEN:
        return False
    _, accept = Image.OPEN[kind]
    return accept is None or accept(start[:16]) is True  # a text is the reason why the format is not supported


def _open(data: bytes) -> ImageFile.ImageFile:
    """Open an image as Image.open does, but without its limit of pixels: `pixel_limit` replaces it.

    Image.open reads the limit from Image.MAX_IMAGE_PIXELS, which applies to the whole program.
    """
    Image.preinit()
    stream = io.BytesIO(data)
    for kind in FORMATS:
        if _accepts(kind, data):
            factory, _ = Image.OPEN[kind]
            stream.seek(0)
            try:
                return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # not this format, as Image.open decides
                continue
    raise UnidentifiedImageError


def _rotate_upright(image: Image.Image) -> Image.Image:
    """Return a rotated or mirrored copy as the EXIF orientation requires, or the image itself if it is upright.

    ImageOps.exif_transpose would also write the EXIF data again, which fails if any other tag is broken.
    """
    # PNG and TIFF can store the orientation elsewhere; for the other formats, getexif would only cost time
    if "exif" not in image.info and image.format in ("JPEG", "WEBP", "AVIF", "BMP", "GIF"):
        return image
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # unreadable EXIF data states no orientation; Pillow raises whatever its parser meets
        return image
    return image if turn is None else image.transpose(turn)


def _to_rgb_or_grey(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB, or to L if it is grey."""
    if image.mode in ("RGB", "L"):
        if "transparency" not in image.info:
            return image
        image = image.convert("RGBA")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return _to_eight_bits(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert grey values of 16 or 32 bits or floating-point values to 8 bits.

    Files with 32-bit or floating-point values do not state their range. 32-bit values are used unchanged if none
    exceeds 255; floating-point values are multiplied by 255 if none exceeds 1.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0, neginf=0)
    largest = values.max(initial=0)
    if image.mode.startswith("I;16"):
        scale = 1 / 256
    elif image.mode == "I":
        scale = 1 / 256 if largest > 255 else 1.0
    else:
        scale = 255.0 if largest <= 1 else 1.0
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
