"""Decode every photo once: check that it is usable, hash its pixels, and encode the bytes that the dataset stores.

Photos are examined by processes rather than threads: decoding a small photo holds Python's global interpreter lock for
most of its time.

Shapes: p photos of a chunk.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from prodrec.core.base.errors import NotFound, ProdrecError
from prodrec.core.base.workers import map_in_order, raise_if_stopped
from prodrec.core.data.duplicates.perceptual_hash import SIDE, hash_grey
from prodrec.core.data.photos.locations import WHOLE_FILE, DamagedPhoto, PhotoLocation
from prodrec.core.data.photos.photo_table import DIGEST_BYTES, PhotoTable
from prodrec.core.data.photos.upright import OVER_LIMIT, UNDECODABLE, PhotoRejected, open_upright

_CHUNK_PHOTOS = 64
_JPEG_QUALITY = 95
_JPEG_SIDE = 65_500
"""Pixels of the longer side that the library behind Pillow can write; the format allows 65,535."""


@dataclass(frozen=True)
class PhotoRules:
    """How photos are checked and stored.

    size:        short side in pixels of a stored photo; smaller photos are not enlarged
    pixel_limit: photos with more pixels are rejected before they are decoded
    store:       whether photos are encoded for the dataset; False with --in-place
    """

    size: int = 256
    pixel_limit: int = 100_000_000
    store: bool = True


@dataclass(frozen=True)
class ExaminedChunk:
    """A chunk of p photos after decoding.

    photos:  the table of the p photos; `index_P3` is filled when they are stored
    encoded: the bytes to store of every photo; b"" for a photo that is unusable or not to be stored
    """

    photos: PhotoTable
    encoded: list[bytes]


def examine_chunks(locations: Iterable[PhotoLocation], rules: PhotoRules, *, workers: int) -> Iterator[ExaminedChunk]:
    """Yield the results of examining photos, in chunks and in order. They do not depend on the number of `workers`."""
    remaining = iter(locations)
    chunks = iter(lambda: list(itertools.islice(remaining, _CHUNK_PHOTOS)), [])
    yield from map_in_order(functools.partial(examine, rules=rules), chunks, workers=workers)


def examine(locations: list[PhotoLocation], rules: PhotoRules) -> ExaminedChunk:
    """Read and decode one chunk of photos.

    Raise NotFound or ProdrecError if this machine cannot read a photo that exists: the dataset must not depend on
    what one of several machines can read.
    """
    photos, encoded = PhotoTable.empty(len(locations)), [b""] * len(locations)
    greys_pSS = np.zeros((len(locations), SIDE, SIDE), np.uint8)
    for i, location in enumerate(locations):
        raise_if_stopped()
        try:
            data = _read(location)
            image, is_plain_jpeg = open_upright(data, pixel_limit=rules.pixel_limit)
            digest = hashlib.blake2b(repr(image.size).encode(), digest_size=DIGEST_BYTES)
            digest.update(np.asarray(image.convert("RGB")).data)
            greys_pSS[i] = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
            encoded[i], photos.sizes_P2[i] = encode_for_store(image, data if is_plain_jpeg else None, rules)
            photos.digests_PD[i] = np.frombuffer(digest.digest(), np.uint8)
        except PhotoRejected as error:
            photos.set_problem(i, error.reason, str(error))
        except (OSError, EOFError) as error:
            photos.set_problem(i, UNDECODABLE, f"cannot be read: {error}")
    photos.hashes_P[:] = hash_grey(greys_pSS)
    return ExaminedChunk(photos, encoded)


def _read(location: PhotoLocation) -> bytes:
    """Return the encoded bytes of a photo.

    Raise PhotoRejected if the photo itself is unreadable, and NotFound or ProdrecError if the machine cannot read it.
    """
    try:
        return location.read()
    except DamagedPhoto as error:
        raise PhotoRejected(UNDECODABLE, str(error)) from error
    except OSError as error:
        # in an archive, a missing permission concerns all photos
        if isinstance(error, PermissionError) and location.length == WHOLE_FILE:
            raise PhotoRejected(UNDECODABLE, f"cannot be read: {error.strerror}") from error
        kind = NotFound if isinstance(error, FileNotFoundError) else ProdrecError
        raise kind(
            f"{location.path} was listed but cannot be read on {socket.gethostname()} ({error.strerror}); "
            "photos must be readable on all machines of the job until all are decoded."
        ) from error


def encode_for_store(image: Image.Image, original: bytes | None, rules: PhotoRules) -> tuple[bytes, tuple[int, int]]:
    """Return the bytes to store, and width and height of the stored photo.

    original: the JPEG that `image` was decoded from, which is stored unchanged if it is small enough; None if the photo
    must be encoded again. With `rules.store` False, the bytes are empty.

    Raise PhotoRejected if the stored photo would be too long for a JPEG.
    """
    short_side = min(image.size)
    if not rules.store:
        return b"", image.size
    if short_side <= rules.size and original is not None:
        return original, image.size
    if short_side > rules.size:
        width, height = (max(rules.size, round(side * rules.size / short_side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if max(image.size) > _JPEG_SIDE:
        raise PhotoRejected(OVER_LIMIT, f"{image.width} x {image.height} pixels, and a JPEG has {_JPEG_SIDE:,} at most")
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return stream.getvalue(), image.size
