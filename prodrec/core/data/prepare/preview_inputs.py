"""Look up the photos of a preview's rows, where the source may not be listed as a whole.

Shapes: M rows of all tables that were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.photos.decoding import find_photos
from prodrec.core.data.photos.partial_listing import PartialListing
from prodrec.core.data.tables.rejects import MISSING_PHOTO, Rejects

if TYPE_CHECKING:
    import polars as pl


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


def find_listed_photos(listing: PartialListing, names_M: pl.Series, rejected: Rejects) -> PhotoLookup:
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
