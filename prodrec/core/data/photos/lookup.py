"""Finds the photo that a table means: by its exact name, then ignoring case, then by its base name, where unique.

Another extension is never guessed, and nothing is downloaded.

Shapes: W names that are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts

if TYPE_CHECKING:
    import polars as pl

WEB_ADDRESS = r"^(?i)(?:[a-z][a-z0-9+.-]*:)?//"


NO_NAME, WEB, NO_PHOTO = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Lookup:
    """What was found of W names.

    found_W: int64, positions among the photos, -1 where there is none
    why_W:   int32, where there is none the number of the reason in `reasons`, whose texts stand once
    """

    found_W: NDArray[np.int64]
    why_W: NDArray[np.int32]
    reasons: list[str]


def find_photos(names: Texts, wanted: pl.Series, where: Path) -> Lookup:
    """The position in `names` of every name in `wanted`, or why there is none.

    `where` is the folder that absolute names may point into, and stands in messages.
    """
    import polars as pl

    reasons = [
        "the table names no photo",
        "it is a web address, and nothing is downloaded: fetch the photos first",
        f"no such photo in {where}",
    ]
    found_W, why_W = np.full(len(wanted), -1, np.int64), np.full(len(wanted), NO_PHOTO, np.int32)
    why_W[wanted.is_null().to_numpy()] = NO_NAME
    why_W[wanted.str.contains(WEB_ADDRESS).fill_null(value=False).to_numpy()] = WEB

    asked = pl.DataFrame({"name": wanted}).with_row_index("position").with_columns(_as_listed("name", where))
    asked = asked.filter(pl.Series(why_W == NO_PHOTO))
    known = names.to_polars("name").to_frame().with_row_index("photo")
    known = known.with_columns(pl.col("name").str.normalize("NFC"))
    lower = pl.col("name").str.to_lowercase()
    for key, apart in ((pl.col("name"), "spelling"), (lower, "case"), (lower.str.split("/").list.last(), "folders")):
        by_key = known.group_by(key.alias("key")).agg(pl.col("photo").first(), pl.len().alias("same"))
        matched = asked.with_columns(key=key).join(by_key, on="key", how="inner")
        unique, several = matched.filter(pl.col("same") == 1), matched.filter(pl.col("same") > 1)
        found_W[unique["position"].to_numpy()] = unique["photo"].to_numpy()
        counts, which = np.unique(several["same"].to_numpy(), return_inverse=True)
        why_W[several["position"].to_numpy()] = len(reasons) + which
        reasons += [f"{same} photos have this name apart from {apart}" for same in counts.tolist()]
        asked = asked.join(matched, on="position", how="anti")
        if not asked.height:
            break
    return Lookup(found_W, why_W, reasons)


def _as_listed(column: str, where: Path) -> pl.Expr:
    """The name as photos are listed: forward slashes, no leading `./`, relative to the folder."""
    import polars as pl

    name = pl.col(column).str.replace_all("\\", "/", literal=True).str.strip_prefix(f"{where.absolute().as_posix()}/")
    return name.str.replace(r"^(?:\./+)+", "").str.normalize("NFC")
