"""Find the photo that a name in a table refers to.

A name is compared with the listed photos exactly, then ignoring case, then by its base name if that is unique. Another
extension is never tried, and nothing is downloaded.

Shapes: W names from the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.photos.sources import PhotoSource

if TYPE_CHECKING:
    import polars as pl

NO_MATCH = -1

_WEB_ADDRESS = r"^(?i)(?:[a-z][a-z0-9+.-]*:)?//"
_NO_NAME, _WEB, _NO_PHOTO = range(3)  # the first entries of `reasons`


@dataclass(frozen=True, eq=False)
class NameMatches:
    """The photos of W names.

    photo_W:  int64, position in the source, or NO_MATCH
    reason_W: int32, the index in `reasons` of why a name has no photo; undefined for a name with a photo
    """

    photo_W: NDArray[np.int64]
    reason_W: NDArray[np.int32]
    reasons: list[str]


def match_names(source: PhotoSource, names: pl.Series) -> NameMatches:
    """Return the photo in `source` that each of `names` refers to, or why there is none.

    Absolute names match if they point into the folder of the source.
    """
    import polars as pl

    reasons = [
        "the table names no photo",
        "it is a web address, and nothing is downloaded: fetch the photos first",
        f"no such photo in {source.path}",
    ]
    photo_W, reason_W = np.full(len(names), NO_MATCH, np.int64), np.full(len(names), _NO_PHOTO, np.int32)
    reason_W[names.is_null().to_numpy()] = _NO_NAME
    reason_W[names.str.contains(_WEB_ADDRESS).fill_null(value=False).to_numpy()] = _WEB

    unmatched = pl.DataFrame({"name": names}).with_row_index("position").with_columns(_as_listed("name", source.path))
    unmatched = unmatched.filter(pl.Series(reason_W == _NO_PHOTO))
    listed = source.names_P.to_polars("name").to_frame().with_row_index("photo")
    listed = listed.with_columns(pl.col("name").str.normalize("NFC"))
    lower = pl.col("name").str.to_lowercase()
    for key, difference in (
        (pl.col("name"), "spelling"),
        (lower, "case"),
        (lower.str.split("/").list.last(), "folders"),
    ):
        by_key = listed.group_by(key.alias("key")).agg(pl.col("photo").first(), pl.len().alias("photos"))
        matched = unmatched.with_columns(key=key).join(by_key, on="key", how="inner")
        unique, several = matched.filter(pl.col("photos") == 1), matched.filter(pl.col("photos") > 1)
        photo_W[unique["position"].to_numpy()] = unique["photo"].to_numpy()
        counts, index = np.unique(several["photos"].to_numpy(), return_inverse=True)
        reason_W[several["position"].to_numpy()] = len(reasons) + index
        reasons += [f"{count} photos have this name apart from {difference}" for count in counts.tolist()]
        unmatched = unmatched.join(matched, on="position", how="anti")
        if not unmatched.height:
            break
    return NameMatches(photo_W, reason_W, reasons)


def _as_listed(column: str, folder: Path) -> pl.Expr:
    """Convert a name to the form of listed names: forward slashes, no leading `./`, relative to the folder."""
    import polars as pl

    prefix = f"{folder.absolute().as_posix()}/"
    name = pl.col(column).str.replace_all("\\", "/", literal=True).str.strip_prefix(prefix)
    return name.str.replace(r"^(?:\./+)+", "").str.normalize("NFC")
