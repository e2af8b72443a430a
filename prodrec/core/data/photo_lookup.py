"""Finds the photo that a table means: by its exact name, then ignoring case, then by its base name, where unique.

Another extension is never guessed, and nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

WEB_ADDRESS = r"^(?i)(?:[a-z][a-z0-9+.-]*:)?//"


def find_photos(names: list[str], wanted: pl.Series, where: Path) -> tuple[NDArray[np.int64], dict[int, str]]:
    """The position in `names` of every name in `wanted` (-1 where there is none), and why not, by position in `wanted`.

    `where` is the folder that absolute names may point into, and stands in messages.
    """
    import polars as pl

    found = np.full(len(wanted), -1, dtype=np.int64)
    why = dict.fromkeys(np.flatnonzero(wanted.is_null().to_numpy()).tolist(), "the table names no photo")
    web = np.flatnonzero(wanted.str.contains(WEB_ADDRESS).fill_null(value=False).to_numpy())
    why |= dict.fromkeys(web.tolist(), "it is a web address, and nothing is downloaded: fetch the photos first")

    asked = pl.DataFrame({"name": wanted}).with_row_index("position").with_columns(_as_listed("name", where))
    asked = asked.filter(~pl.col("position").is_in(list(why)))
    known = pl.DataFrame({"name": names}, schema={"name": pl.String}).with_row_index("photo")
    known = known.with_columns(pl.col("name").str.normalize("NFC"))
    lower = pl.col("name").str.to_lowercase()
    for key, apart in ((pl.col("name"), "spelling"), (lower, "case"), (lower.str.split("/").list.last(), "folders")):
        by_key = known.group_by(key.alias("key")).agg(pl.col("photo").first(), pl.len().alias("same"))
        matched = asked.with_columns(key=key).join(by_key, on="key", how="inner")
        unique, several = matched.filter(pl.col("same") == 1), matched.filter(pl.col("same") > 1)
        found[unique["position"].to_numpy()] = unique["photo"].to_numpy()
        for position, same in several.select("position", "same").iter_rows():
            why[position] = f"{same} photos have this name apart from {apart}"
        asked = asked.join(matched, on="position", how="anti")
        if not asked.height:
            break
    why |= dict.fromkeys(asked["position"].to_list(), f"no such photo in {where}")
    return found, why


def _as_listed(column: str, where: Path) -> pl.Expr:
    """The name as photos are listed: forward slashes, no leading `./`, relative to the folder."""
    import polars as pl

    name = pl.col(column).str.replace_all("\\", "/", literal=True).str.strip_prefix(f"{where.absolute().as_posix()}/")
    return name.str.replace(r"^(?:\./+)+", "").str.normalize("NFC")
