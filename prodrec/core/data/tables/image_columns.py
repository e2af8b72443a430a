"""Find the columns of photos, from their names, or from their values if no name is usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prodrec.core.data.tables.cells import PHOTO_ENDING, split_photos
from prodrec.core.data.tables.column_names import FURTHER_IMAGE_NAMES, IMAGE_NAMES, NUMBERED_IMAGE, normalise
from prodrec.core.data.tables.header import Header

if TYPE_CHECKING:
    from prodrec.core.data.tables.table_sample import TableSample

_MIN_PHOTOS = 0.5
"""The share of the values of a column that must be names of photos."""


def usual_image_names(header: Header) -> list[str]:
    """Return the normalised names of columns of photos, in the order in which the main one is chosen."""
    return [*IMAGE_NAMES, *map(normalise, numbered_images(header)[:1]), *FURTHER_IMAGE_NAMES]


def further_images(header: Header) -> list[str]:
    """Return the columns of further photos with usual names, and numbered ones."""
    usual = [header.by_normalised[name] for name in FURTHER_IMAGE_NAMES if name in header.by_normalised]
    return [*usual, *numbered_images(header)]


def numbered_images(header: Header) -> list[str]:
    """Return the columns `image1`, `image2`, … in numeric order."""
    matches = [(NUMBERED_IMAGE.fullmatch(name), column) for name, column in header.by_normalised.items()]
    return [column for _, column in sorted((int(match[1]), column) for match, column in matches if match)]


def columns_of_photo_names(sample: TableSample, header: Header) -> Sequence[str]:
    """Return the first column whose values are names of photos; none if a column has a usual name.

    sample: all columns whose names are unique
    """
    if header.find(None, "", usual_image_names(header)):
        return ()
    return next(((name,) for name in sample.columns if _are_photo_names(sample.values(name))), ())


def _are_photo_names(values: Sequence[str]) -> bool:
    photos = sum(any(PHOTO_ENDING.search(name) for name in split_photos(value)) for value in values)
    return photos > _MIN_PHOTOS * len(values)
