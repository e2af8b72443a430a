"""Open the photos or vectors of a preview, and look up the photos of its rows in what was listed of the source.

Shapes: M rows of all tables that were read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.photos.decoding import find_photos
from prodrec.core.data.photos.features import open_features
from prodrec.core.data.photos.partial_listing import PartialListing, list_for, list_for_names, named_photos
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.prepare.preview_result import InputsPreview
from prodrec.core.data.prepare.sources import photo_folder, photos_in_tables
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import MISSING_PHOTO, Rejects

if TYPE_CHECKING:
    import polars as pl


LISTING_SECONDS = 2.0
"""Seconds in which photos are listed: about 400,000 of a folder on a local disk, 40,000 of a tar file."""


@dataclass(frozen=True, eq=False)
class PhotoLookup:
    """Which rows have a photo.

    is_found_M:   bool, whether the photo is there
    is_unknown_M: bool, whether the row names a photo that is not among those that were listed
    missing:      rows whose photo is not there or cannot be read
    counts:       rows whose photo is there, by how their name was matched
    """

    is_found_M: NDArray[np.bool_]
    is_unknown_M: NDArray[np.bool_]
    missing: int
    counts: dict[str, int]


def list_photos(folder: Path, options: PrepareOptions, scratch: Path) -> PartialListing:
    """List the photos of a catalogue without tables for some seconds."""
    return list_for(LISTING_SECONDS, folder, scratch=None if options.in_place else scratch)


def read_inputs(
    tables: Sequence[Path],
    source_path: Path | None,
    catalogue: Catalogue,
    rejected: Rejects,
    options: PrepareOptions,
    scratch: Path,
    *,
    listing: PartialListing | None,
    is_whole: bool,
) -> tuple[InputsPreview, PhotoLookup | None]:
    """Look up the photos of the kept rows, or open the vectors; reject rows without a photo.

    listing:  the photos of a catalogue without tables
    is_whole: whether the catalogue contains all rows
    """
    if options.inputs == "nothing":
        return InputsPreview("nothing"), None
    if options.inputs == "features":
        assert source_path is not None
        rows = catalogue.row_count if is_whole else None
        file = open_features(source_path, rows=rows, tables=", ".join(table.name for table in tables))
        return InputsPreview("features", str(source_path), file.rows, width=file.width), None
    names_M = catalogue.read_column("image")
    inside = photos_in_tables(catalogue, options)
    if inside is not None:
        listing = PartialListing(named_photos(catalogue.photo_tables[0][0].path, inside), is_complete=True)
    elif listing is None:
        names = names_M.gather(rejected.kept_rows)
        unpack_into = None if options.in_place else scratch
        folder = photo_folder(tables, source_path)
        listing = list_for_names(LISTING_SECONDS, folder, names, scratch=unpack_into)
    lookup = _find_photos(listing, names_M, rejected)
    preview = InputsPreview(
        "photos",
        str(listing.source.path) if inside is None else None,
        len(listing.source),
        is_complete=listing.is_complete,
        found=int(lookup.is_found_M.sum()),
        missing=lookup.missing,
        not_reached=int(lookup.is_unknown_M.sum()),
        matched=lookup.counts,
    )
    return preview, lookup


def _find_photos(listing: PartialListing, names_M: pl.Series, rejected: Rejects) -> PhotoLookup:
    """Look up the photos of the rows that are not rejected yet, and reject those whose photo is not there.

    If the listing is not complete, a row with a name that is not listed is kept.
    """
    rows = rejected.kept_rows
    found = find_photos(listing.source, names_M, rejected)
    is_found_M, is_unknown_M = np.zeros((2, len(names_M)), bool)
    is_found_M[found.rows_W] = True
    lost = np.setdiff1d(rows, found.rows_W)
    if not listing.is_complete and len(lost):
        is_missing = rejected.reason_M[lost] == rejected.reasons.index(MISSING_PHOTO)
        unknown = lost[is_missing & names_M.gather(lost).is_not_null().to_numpy()]
        is_unknown_M[unknown] = True
        rejected.reason_M[unknown] = rejected.detail_M[unknown] = 0
    return PhotoLookup(is_found_M, is_unknown_M, len(lost) - int(is_unknown_M.sum()), found.counts)
