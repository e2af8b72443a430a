"""Every photo decoded once: is it usable, what are its pixels' hashes, and which bytes does the dataset keep.

A photo counts as its upright RGB pixels: EXIF rotation applied, grey and palettes spread to RGB, alpha laid over white,
CMYK converted, 16 bits cut to 8. Pixel-identical photos have the same hash whatever file format they came in.

The work is done by processes: of the time that a small photo takes, Python's lock is held for the larger part.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import socket
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from prodrec.core.base.errors import NotFound, ProdrecError
from prodrec.core.base.workers import map_in_order, raise_if_stopped
from prodrec.core.data.duplicates.perceptual_hash import SIDE, hash_grey
from prodrec.core.data.photos.sources import PhotoLocation

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
UNDECODABLE, TRUNCATED, OVER_LIMIT = "undecodable", "truncated", "over the pixel limit"

_CHUNK = 64
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class PhotoRules:
    """What is done with every photo.

    size:        the short side in pixels of what is stored; smaller photos stay as they are
    pixel_limit: photos with more pixels are rejected undecoded
    store:       whether bytes to store are wanted (not with --in-place)
    """

    size: int = 256
    pixel_limit: int = 100_000_000
    store: bool = True


@dataclass(frozen=True)
class Examined:
    """P photos after decoding.

    problems: (reason, detail) by position, for photos that cannot be used
    sizes:    int32 [P, 2] width and height of what is stored (upright)
    digests:  uint8 [P, 16] hash of size and RGB pixels
    hashes:   uint64 [P] perceptual hash
    stored:   the bytes to keep; b"" for a photo that cannot be used or with store=False
    """

    problems: dict[int, tuple[str, str]]
    sizes: NDArray[np.int32]
    digests: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    stored: list[bytes]


class UnusablePhoto(Exception):
    """One photo cannot be used; `reason` is the word in rejected.csv."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def examine_all(places: Iterable[PhotoLocation], rules: PhotoRules, *, workers: int) -> Iterator[Examined]:
    """The photos in chunks, in order; the same whatever the number of workers."""
    remaining = iter(places)
    chunks = iter(lambda: list(itertools.islice(remaining, _CHUNK)), [])
    yield from map_in_order(functools.partial(examine, rules=rules), chunks, workers=workers)


def examine(places: list[PhotoLocation], rules: PhotoRules) -> Examined:
    """Read and decode some photos. Raises as `_read` does."""
    n = len(places)
    problems: dict[int, tuple[str, str]] = {}
    sizes, digests = np.zeros((n, 2), np.int32), np.zeros((n, 16), np.uint8)
    greys, stored = np.zeros((n, SIDE, SIDE), np.uint8), [b""] * n
    for i, place in enumerate(places):
        raise_if_stopped()
        try:
            data = _read(place)
            image, as_it_was = open_upright(data, pixel_limit=rules.pixel_limit)
            digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
            digest.update(np.asarray(image.convert("RGB")).data)
            greys[i] = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
            stored[i], sizes[i] = to_store(image, data if as_it_was else None, rules)
            digests[i] = np.frombuffer(digest.digest(), np.uint8)
        except UnusablePhoto as error:
            problems[i] = (error.reason, str(error))
        except (OSError, EOFError) as error:
            problems[i] = (UNDECODABLE, f"cannot be read: {error}")
    return Examined(problems, sizes, digests, hash_grey(greys), stored)


def _read(place: PhotoLocation) -> bytes:
    """The bytes of a photo that was listed. Raises UnusablePhoto where they themselves are to blame.

    Raises NotFound or ProdrecError where the machine is: the dataset must not depend on what one of several can reach.
    """
    try:
        return place.read()
    except (zlib.error, OSError) as error:
        if isinstance(error, zlib.error) or (isinstance(error, PermissionError) and place.length < 0):
            raise UnusablePhoto(UNDECODABLE, f"cannot be read: {error}") from error
        kind = NotFound if isinstance(error, FileNotFoundError) else ProdrecError
        raise kind(
            f"{place.file} was listed, and cannot be read on {socket.gethostname()} ({error.strerror}); "
            "photos must lie where all machines of the job see them, and stay until all are decoded."
        ) from error


def open_upright(data: bytes, *, pixel_limit: int | None = None) -> tuple[Image.Image, bool]:
    """The photo, decoded to the end and upright, mode RGB or L; and whether it was a plain JPEG just like that.

    Raises UnusablePhoto.
    """
    if not data:
        raise UnusablePhoto(TRUNCATED, "the file is empty")
    try:
        with warnings.catch_warnings(), _any_size():
            warnings.simplefilter("ignore")  # PIL warns of odd metadata
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if pixel_limit is not None and width * height > pixel_limit:
                raise UnusablePhoto(OVER_LIMIT, f"{width} x {height} pixels")
            image.load()
            turned = _turned(image)
            return _plain(turned), image.format == "JPEG" and image.mode in ("RGB", "L") and turned is image
    except UnusablePhoto:
        raise
    except UnidentifiedImageError as error:
        raise UnusablePhoto(UNDECODABLE, "not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF photo") from error
    except Exception as error:  # PIL's plugins raise what they like: OSError, SyntaxError, ValueError, struct.error…
        text = str(error) or type(error).__name__
        reason = TRUNCATED if "truncated" in text.lower() or isinstance(error, EOFError) else UNDECODABLE
        raise UnusablePhoto(reason, text) from error


@contextmanager
def _any_size() -> Iterator[None]:
    """Lift PIL's own limit: the pixel limit is an option here, and judged before anything is decoded."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _turned(image: Image.Image) -> Image.Image:
    """The image itself where it is upright, else a turned copy."""
    if "exif" not in image.info and image.format in ("JPEG", "WEBP", "AVIF", "BMP", "GIF"):
        return image
    turned = ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image
    return turned or image


def _plain(image: Image.Image) -> Image.Image:
    """As RGB, or L for grey."""
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
        return _eight_bits(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floating point (0 to 1) as 8 bits."""
    values = np.asarray(image).astype(np.float64)
    largest = values.max(initial=0)
    if image.mode.startswith("I;16"):
        scale = 1 / 256
    elif image.mode == "I":
        scale = 1 / 256 if largest > 255 else 1.0
    else:
        scale = 255.0 if largest <= 1 else 1.0
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))


def to_store(image: Image.Image, original: bytes | None, rules: PhotoRules) -> tuple[bytes, tuple[int, int]]:
    """The bytes to store, and their width and height: the original where it is small enough, else resized once."""
    short = min(image.size)
    if not rules.store:
        return b"", image.size
    if short <= rules.size and original is not None:
        return original, image.size
    if short > rules.size:
        width, height = (max(rules.size, round(side * rules.size / short)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return encoded.getvalue(), image.size
