"""Read photo files for a network, in worker processes where there are many.

Shapes: H×W view.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadPhoto, NotFound
from prodrec.core.base.workers import map_in_order, raise_if_stopped
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.inference.photo_inputs import read_bytes

ReadPhoto = tuple[Path, list[NDArray[np.uint8]] | str]
"""A file, and the views of its photo, uint8 [3, H, W] each; or the reason why it cannot be used."""


def read_views(
    files: Sequence[Path],
    *,
    photos: PhotoConfig,
    views: str,
    stored_side: int | None,
    batch_size: int,
    workers: int,
) -> Iterator[list[ReadPhoto]]:
    """Yield the photos of `files` in batches, in order.

    stored_side: as in `read_photo`
    """
    remaining = iter(files)
    batches = iter(lambda: list(itertools.islice(remaining, batch_size)), [])
    read = functools.partial(_read_batch, photos=photos, views=views, stored_side=stored_side)
    yield from map_in_order(read, batches, workers=workers)


def usable_views(
    reads: Iterable[ReadPhoto], reasons: MutableMapping[Path | str, str], *, batch_size: int
) -> Iterator[list[list[NDArray[np.uint8]]]]:
    """Yield the views of the photos that can be used, in batches, and add to `reasons` why others cannot."""
    remaining = iter(reads)
    while batch := list(itertools.islice(remaining, batch_size)):
        reasons.update((file, views) for file, views in batch if isinstance(views, str))
        yield [views for _, views in batch if not isinstance(views, str)]


def _read_batch(files: list[Path], *, photos: PhotoConfig, views: str, stored_side: int | None) -> list[ReadPhoto]:
    from prodrec.core.data.photos.views import read_photo, scoring_views

    read: list[ReadPhoto] = []
    for file in files:
        raise_if_stopped()
        try:
            photo_CHW = read_photo(read_bytes(file), stored_side=stored_side)
        except (BadPhoto, NotFound) as error:
            read.append((file, str(error)))
        else:
            read.append((file, [view_CHW.numpy() for view_CHW in scoring_views(photo_CHW, photos, views)]))
    return read
