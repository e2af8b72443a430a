"""Decide by their folders which names in a table and which photos with the same base name belong together.

The names are frames with the columns of `name_keys.table_keys`, and of a photo with the same base name: key (that
name), photo, photo_name and photos (how many photos have it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodrec.core.data.photos import name_keys as keys

if TYPE_CHECKING:
    import polars as pl

_MAX_FOLDERS = 16  # of a name that are compared


def match_folders(
    several: pl.DataFrame, listed: pl.DataFrame, listed_key: pl.Expr
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return, of names whose base name several photos have, those that stay ambiguous and those resolved by folders."""
    import polars as pl

    if not several.height:
        return several, several
    listed = listed.with_columns(key=listed_key).join(several.select(pl.col("key").unique()), on="key", how="semi")
    listed = listed.with_columns(folder=_folder("name"))
    pending = several.with_columns(folder=_folder("full"))
    resolved, ambiguous = [], []
    for count in range(1, _MAX_FOLDERS + 1):
        tail = keys.last_parts("folder", count)
        by_key = listed.group_by(tail.alias("tail"), "key").agg(
            pl.col("photo").first().alias("in_folder"), pl.len().alias("in_folders")
        )
        compared = pending.with_columns(tail=tail).join(by_key, on=["tail", "key"], how="left").drop("tail")
        ambiguous.append(compared.filter(pl.col("in_folders").is_null()))
        resolved.append(compared.filter(pl.col("in_folders") == 1))
        pending = compared.filter(pl.col("in_folders") > 1).drop("in_folder", "in_folders")
        if not pending.height:
            break
    columns = several.columns
    left = pl.concat([*(frame.select(columns) for frame in ambiguous), pending.select(columns)])
    return left, pl.concat(resolved).with_columns(photo=pl.col("in_folder")).select(columns)


def find_rivals(shared: pl.DataFrame) -> pl.DataFrame:
    """Return the names that must not have their photo, because it belongs to another name or its owner is unclear.

    shared: names with the same photo, with the columns `photo_name` and is_loose: whether not the whole name matched

    Names agree if each is the end of the longest of them: m/b/1.jpg and media/m/b/1.jpg. Of names that do not, those
    whose folders agree most with the folders of the photo have it, if they agree with each other. A whole name always
    has its photo, and a name without folders is compared with no other. The column `rivals` has the number of different
    names.
    """
    import polars as pl

    shared = shared.filter(pl.col("identity").str.contains("/", literal=True) | ~pl.col("is_loose"))
    shared = shared.with_columns(end="/" + pl.col("identity").str.to_lowercase())
    shared = _add_agree(shared).filter(~pl.col("agree").all().over("photo"))
    if not shared.height:
        return shared.with_columns(rivals=pl.lit(0))
    shared = shared.with_columns(rivals=pl.col("end").n_unique().over("photo"))
    shared = shared.with_columns(folder=_folder("full"), photo_folder=_folder("photo_name"), common=pl.lit(0))
    for count in range(1, _MAX_FOLDERS + 1):
        is_equal = keys.last_parts("folder", count) == keys.last_parts("photo_folder", count)
        shared = shared.with_columns(common=pl.col("common") + is_equal.fill_null(value=False).cast(pl.Int32))
    best = shared.filter((pl.col("common") == pl.col("common").max().over("photo")) & (pl.col("common") > 0))
    winners = _add_agree(best).filter(pl.col("agree").all().over("photo"))
    return shared.filter("is_loose").join(winners.select("position"), on="position", how="anti")


def _add_agree(shared: pl.DataFrame) -> pl.DataFrame:
    """Add the column `agree`: whether a name is the end of the longest name with the same photo."""
    import polars as pl

    longest = pl.col("end").sort_by(pl.col("end").str.len_bytes(), "end").last().over("photo")
    return shared.with_columns(longest=longest).with_columns(agree=pl.col("longest").str.ends_with(pl.col("end")))


def _folder(column: str) -> pl.Expr:
    """Return the folders of a name, ignoring case; null without folders."""
    import polars as pl

    return pl.col(column).str.to_lowercase().str.extract(r"^([^?]*)/[^/]*$")
