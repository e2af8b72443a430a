"""Decode a photo file to upright RGB or grey pixels with 8 bits per channel.

The EXIF rotation is applied, palettes become RGB, transparent pixels are blended with white, CMYK is converted, and 16
bits are reduced to 8. Photos with the same pixels therefore give the same result, whatever the format of their files.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")

UNDECODABLE, TRUNCATED, OVER_LIMIT = "undecodable", "truncated", "over the pixel limit"
"""Reasons, as in rejected.csv, why a photo cannot be used."""

_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright


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
        with warnings.catch_warnings(), _no_pillow_limit():
            warnings.simplefilter("ignore")  # Pillow warns about unusual metadata
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if pixel_limit is not None and width * height > pixel_limit:
                raise PhotoRejected(OVER_LIMIT, f"{width} x {height} pixels")
            image.load()
            upright = _rotate_upright(image)
            is_plain_jpeg = image.format == "JPEG" and image.mode in ("RGB", "L") and upright is image
            return _to_rgb_or_grey(upright), is_plain_jpeg
    except PhotoRejected:
        raise
    except UnidentifiedImageError as error:
        raise PhotoRejected(UNDECODABLE, "not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF photo") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        text = str(error) or type(error).__name__
        reason = TRUNCATED if "truncated" in text.lower() or isinstance(error, EOFError) else UNDECODABLE
        raise PhotoRejected(reason, text) from error


@contextmanager
def _no_pillow_limit() -> Iterator[None]:
    """Disable Pillow's own pixel limit; `pixel_limit` replaces it."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _rotate_upright(image: Image.Image) -> Image.Image:
    """Return a rotated or mirrored copy as the EXIF orientation requires, or the image itself if it is upright."""
    # PNG and TIFF can store the orientation elsewhere; for the other formats, getexif would only cost time
    if "exif" not in image.info and image.format in ("JPEG", "WEBP", "AVIF", "BMP", "GIF"):
        return image
    rotated = ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION, 1) != 1 else image
    return rotated or image


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
    values = np.asarray(image).astype(np.float64)
    largest = values.max(initial=0)
    if image.mode.startswith("I;16"):
        scale = 1 / 256
    elif image.mode == "I":
        scale = 1 / 256 if largest > 255 else 1.0
    else:
        scale = 255.0 if largest <= 1 else 1.0
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
