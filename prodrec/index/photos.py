"""What an index needs of the photos of a product: their hashes, the views that the network sees, and thumbnails.

The hash is that of the photo as `prepare` stores it. A photo of a dataset and the file that it was made from therefore
have the same hash, and a table that did not change changes nothing in an index.

Shapes: H×W view.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadPhoto
from prodrec.core.base.workers import raise_if_stopped
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.photos.locations import DamagedPhoto, PhotoLocation
from prodrec.core.data.photos.thumbnails import jpeg_thumbnail
from prodrec.core.data.photos.upright import UNDECODABLE, PhotoRejected

THUMBNAIL_SIDE = 160
"""Longer side of a thumbnail in pixels."""
THUMBNAIL_QUALITY = 85
Content = tuple[str, tuple[str, ...]]
"""The hash of the text of a product, and those of its photos."""


@dataclass(frozen=True)
class GivenProduct:
    """A product as a table or a dataset gives it.

    path:       names of its categories; empty if they are not given
    attributes: names of attributes and their states
    photos:     where the photos are
    rows:       row of the table of every photo
    """

    sku: str
    title: str
    path: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    photos: tuple[PhotoLocation, ...]
    rows: tuple[int, ...]

    @property
    def text_hash(self) -> str:
        """Hash of title, path and attributes."""
        return hash_bytes(json.dumps([self.title, self.path, self.attributes], ensure_ascii=False).encode())


@dataclass(frozen=True)
class SeenPhoto:
    """A photo that can be used.

    photo_hash: of the stored photo
    view_CHW:   the centre crop, uint8 [3, H, W]
    thumbnail:  JPEG
    """

    photo_hash: str
    view_CHW: NDArray[np.uint8]
    thumbnail: bytes


@dataclass(frozen=True)
class SeenProduct:
    """A product whose photos were read.

    photos:       those that can be used; empty if it is unchanged
    is_unchanged: whether the index has it with the same text and photos
    problems:     row of the table, reason and detail of every photo that cannot be used
    """

    given: GivenProduct
    photos: tuple[SeenPhoto, ...] = ()
    is_unchanged: bool = False
    problems: tuple[tuple[int, str, str], ...] = field(default=())


def hash_bytes(data: bytes) -> str:
    """Return the hash of an encoded photo or text."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def see_products(
    products: Sequence[tuple[GivenProduct, Content | None]], *, stored_side: int | None, photos: PhotoConfig
) -> list[SeenProduct]:
    """Read the photos of products, each with what the index has of it, or None.

    stored_side: short side in pixels to which the dataset of the run resized its photos; None for photos in place
    """
    import torch

    if multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # a worker process; the network has the other cores
    return [_see_product(given, known, stored_side, photos) for given, known in products]


def _see_product(
    given: GivenProduct, known: Content | None, stored_side: int | None, photos: PhotoConfig
) -> SeenProduct:
    raise_if_stopped()
    if known is not None and known[0] == given.text_hash and _have_hashes(given.photos, known[1]):
        return SeenProduct(given, is_unchanged=True)
    seen: dict[str, SeenPhoto] = {}
    problems = []
    for location, row in zip(given.photos, given.rows, strict=True):
        try:
            photo = see_photo(location.read(), stored_side=stored_side, photos=photos)
            seen.setdefault(photo.photo_hash, photo)
        except PhotoRejected as error:
            problems.append((row, error.reason, str(error)))
        except (OSError, DamagedPhoto) as error:
            problems.append((row, UNDECODABLE, f"cannot be read: {error}"))
    is_unchanged = known == (given.text_hash, tuple(seen))
    return SeenProduct(given, () if is_unchanged else tuple(seen.values()), is_unchanged, tuple(problems))


def _have_hashes(locations: Sequence[PhotoLocation], hashes: Sequence[str]) -> bool:
    """Return whether photo files that are stored as they are have these hashes, which needs no decoding."""
    try:
        return len(locations) == len(hashes) and all(
            hash_bytes(location.read()) == photo_hash for location, photo_hash in zip(locations, hashes, strict=True)
        )
    except (OSError, DamagedPhoto):
        return False


def see_photo(data: bytes, *, stored_side: int | None, photos: PhotoConfig) -> SeenPhoto:
    """Return what an index needs of a photo file. Raise PhotoRejected."""
    from prodrec.core.data.photos.views import centre_view, read_photo_and_bytes

    try:
        photo_CHW, stored = read_photo_and_bytes(data, stored_side=stored_side)
    except BadPhoto as error:
        assert isinstance(error.__cause__, PhotoRejected)
        raise error.__cause__ from None
    view_CHW = centre_view(photo_CHW, photos).contiguous().numpy()
    thumbnail = jpeg_thumbnail(photo_CHW.numpy(), THUMBNAIL_SIDE, quality=THUMBNAIL_QUALITY)
    return SeenPhoto(hash_bytes(stored), view_CHW, thumbnail)
