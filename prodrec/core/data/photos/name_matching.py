"""Find the photo that a name in a table refers to.

A name is compared with the listed photos exactly, then ignoring case, then by its base name, then with the ending of a
photo added. Of a web address, the path is compared: photos that were fetched have its last part as their name. Nothing
is downloaded, and another ending is never tried.

Where several photos have the base name, the folders that precede it decide, and where they decide nothing, the name is
ambiguous. So are several names with different folders that have only one photo.

Shapes: W names from the tables, w some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.data.photos import name_keys as keys
from prodrec.core.data.photos.folder_photos import hidden_name
from prodrec.core.data.photos.name_folders import find_rivals, match_folders
from prodrec.core.data.photos.name_search import (
    BASE_NAME,
    ENDING_ADDED,
    EXACT,
    IGNORING_CASE,
    NO_MATCH,
    RULES,
    WEB_BASE_NAME,
    WEB_PATH,
    Search,
)
from prodrec.core.data.photos.sources import PhotoSource
from prodrec.core.data.photos.zip_names import ENCODINGS

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class NameMatches:
    """The photos of W names.

    photo_W:  int64, position in the source, or NO_MATCH
    reason_W: int32, the index in `reasons` of why a name has no photo; undefined for a name with a photo
    reasons:  every distinct reason
    rule_W:   int8, the index in RULES of how a name was matched; undefined for a name without a photo
    """

    photo_W: NDArray[np.int64]
    reason_W: NDArray[np.int32]
    reasons: pl.Series
    rule_W: NDArray[np.int8]

    def counts(self, found_w: NDArray[np.int64]) -> dict[str, int]:
        """Return how many of the names at positions `found_w`, which have a photo, were matched by each rule."""
        counts = np.bincount(self.rule_W[found_w], minlength=len(RULES)).tolist()
        return {rule: count for rule, count in zip(RULES, counts, strict=True) if count}


def match_names(source: PhotoSource, names: pl.Series) -> NameMatches:
    """Return the photo in `source` that each of `names` refers to, or why there is none.

    Absolute names match if they point into the folder of the source, or by their base name. Hidden files and files in
    hidden folders match only their whole name.
    """
    import polars as pl

    source = _choose_encoding(source, names)
    numbered = pl.DataFrame({"name": names.cast(pl.String)}).with_row_index("position")
    table = keys.table_keys(numbered.filter(pl.col("name").is_not_null()), source.path)
    listed = source.names_P.to_polars("name").to_frame().with_row_index("photo")
    listed = listed.with_columns(pl.col("name").str.normalize("NFC"))
    search = Search(table, listed, np.full(len(names), NO_MATCH, np.int64), np.full(len(names), -1, np.int8))
    for step in (_match_whole, _match_base_names, _match_without_ending):
        if search.table.height:
            step(search)
    search.fail(search.table, _not_found(source))
    search.fail(numbered.filter(pl.col("name").is_null()), pl.lit("the table names no photo"))
    _reject_rivals(search, table)

    failed = pl.concat([numbered.clear().select("position", reason="name"), *search.failed])
    reasons = failed["reason"].unique(maintain_order=True)
    codes = pl.Series(np.arange(len(reasons), dtype=np.int32))
    reason_W = np.zeros(len(names), np.int32)
    reason_W[failed["position"].to_numpy()] = failed["reason"].replace_strict(reasons, codes).to_numpy()
    return NameMatches(search.photo_W, reason_W, reasons, search.rule_W)


def _choose_encoding(source: PhotoSource, names: pl.Series) -> PhotoSource:
    """Return the source with names of a zip file in the encoding in which most names of the table occur; report it."""
    if source.unflagged is None:
        return source
    encoding = source.unflagged.choose_encoding(names)
    count = len(source.unflagged.photo_U)
    console.info(f"{count:,} names in {source.path} are not marked as UTF-8 · read as {ENCODINGS[encoding]}")
    return source.decode_names(encoding)


def _match_whole(search: Search) -> None:
    """Match names by their whole path below the folder: as they are written, then ignoring case."""
    import polars as pl

    name = pl.col("name")
    for column in ("full", "path"):
        if column == "path" and not search.table.filter(pl.col("path") != pl.col("full")).height:
            return
        for fold, rule, difference in ((_same, EXACT, "spelling"), (_lower, IGNORING_CASE, "case")):
            if not search.table.height:
                return
            found = search.find(fold(pl.col(column)), search.listed, fold(name))
            several = found.filter(pl.col("photos") > 1)
            search.accept(found.filter(pl.col("photos") == 1), rule if column == "full" else WEB_PATH)
            search.fail(several, _several(difference))


def _match_base_names(search: Search) -> None:
    """Match names by what follows the last slash, ignoring case: with the query of a web address, then without."""
    import polars as pl

    listed = search.listed.filter(~hidden_name("name")).with_columns(base=keys.base_name("name"))
    has_query = pl.col("with_query").str.contains("?", literal=True)
    if search.table.select(has_query.any()).item():
        names = search.table.filter(has_query)
        found = search.find(_lower(pl.col("with_query")), listed, _lower(pl.col("base")), names)
        _decide(search, found, listed, _lower(pl.col("base")), BASE_NAME)
    listed = listed.with_columns(keys.decode_percent(listed.select(keys.without_query("base")).to_series()))
    key = _lower(pl.col("base"))
    found = search.find(_lower(keys.base_name("path")), listed, key)
    _decide(search, found, listed, key, BASE_NAME)


def _match_without_ending(search: Search) -> None:
    """Match names without the ending of a photo with photos that have one: by the whole path, then by the base name."""
    import polars as pl

    names = search.table.filter(~keys.has_photo_ending("path"))
    if not names.height:
        return
    listed = search.listed.with_columns(stem=keys.without_ending("name")).drop_nulls("stem")
    found = search.find(_lower(pl.col("path")), listed, _lower(pl.col("stem")), names)
    search.accept(found.filter(pl.col("photos") == 1), ENDING_ADDED)
    search.fail(found.filter(pl.col("photos") > 1), _several("ending"))
    names = search.table.filter(~keys.has_photo_ending("path"))
    listed = listed.filter(~hidden_name("name")).with_columns(base=keys.base_name("stem"))
    key = _lower(pl.col("base"))
    _decide(search, search.find(_lower(keys.base_name("path")), listed, key, names), listed, key, ENDING_ADDED)


def _decide(search: Search, found: pl.DataFrame, listed: pl.DataFrame, listed_key: pl.Expr, rule: int) -> None:
    """Accept names whose base name one photo has, or one photo in the same folder; the others are ambiguous."""
    import polars as pl

    found = found.filter(pl.col("key") != "")
    unique, several = found.filter(pl.col("photos") == 1), found.filter(pl.col("photos") > 1)
    several, resolved = match_folders(several, listed, listed_key)
    is_web = pl.col("is_web")
    for matched in (unique, resolved):
        search.accept(matched.filter(is_web), WEB_BASE_NAME if rule == BASE_NAME else rule)
        search.accept(matched.filter(~is_web), rule)
    search.fail(several, _several("folders"))


def _reject_rivals(search: Search, table: pl.DataFrame) -> None:
    """Reject names that share a photo with a name in another folder or on another host, unless folders decide."""
    import polars as pl

    has_photo_W = search.photo_W != NO_MATCH
    is_loose_W = search.rule_W > IGNORING_CASE
    if not is_loose_W.any():
        return
    names_P = np.bincount(search.photo_W[has_photo_W], minlength=len(search.listed))
    shared_P = np.zeros(len(names_P), bool)
    shared_P[search.photo_W[is_loose_W]] = True
    shared_P &= names_P > 1
    position_w = np.flatnonzero(has_photo_W & shared_P[search.photo_W])
    if not len(position_w):
        return
    photo_w = search.photo_W[position_w]
    columns = {"position": position_w, "photo": photo_w, "is_loose": is_loose_W[position_w]}
    shared = pl.DataFrame(columns, schema_overrides={"position": pl.UInt32, "photo": pl.UInt32})
    shared = shared.join(table, on="position").join(search.listed.rename({"name": "photo_name"}), on="photo")
    rivals = find_rivals(shared)
    search.photo_W[rivals["position"].to_numpy()] = NO_MATCH
    text = (
        "{} different names in the table end in {}, and only one photo has that name: keep the folders of each, as "
        "wget --force-directories does"
    )
    if rivals.height:
        search.failed.append(rivals.select("position", reason=pl.format(text, "rivals", keys.base_name("photo_name"))))


def _not_found(source: PhotoSource) -> pl.Expr:
    """Return why a name has no photo; of a web address, with the base name that was looked for."""
    import polars as pl

    base = keys.base_name("path")
    text = "it is a web address, nothing is downloaded, and no photo in {} is named {}: fetch the photos first"
    fetch = pl.format(text, pl.lit(str(source.path)), base)
    nameless = pl.lit("it is a web address that ends in no file name, and nothing is downloaded")
    other = pl.lit(f"no such photo in {source.path}")
    return pl.when(~pl.col("is_web")).then(other).when(base == "").then(nameless).otherwise(fetch)


def _several(difference: str) -> pl.Expr:
    import polars as pl

    return pl.format("{} photos have this name apart from " + difference, "photos")


def _same(name: pl.Expr) -> pl.Expr:
    return name


def _lower(name: pl.Expr) -> pl.Expr:
    return name.str.to_lowercase()
