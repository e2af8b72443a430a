"""A catalogue of photos in folders, without a table: `root/…/leaf/photo.jpg`, or `train/root/…/leaf/photo.jpg`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.base.texts import Texts
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.category_levels import add_path_levels, count_texts
from prodrec.core.data.tables.category_text import PathFormat
from prodrec.core.data.tables.split_names import are_splits

if TYPE_CHECKING:
    import polars as pl


def catalogue_from_folders(
    names: Sequence[str],
    folder: Path,
    levels: Sequence[str] = (),
    *,
    scratch: Path,
    skipped: Sequence[str] = (),
    skip_reasons: Sequence[str] = (),
) -> Catalogue:
    """Return the catalogue of photos in folders. Each photo is a product, and the folders above it are its categories.

    If all folders at the top are named as splits, at least one of them `train`, they are the splits of the photos.

    names:        the photos, relative to `folder`
    levels:       names for the levels; without them they are level1, level2, …, leaf
    scratch:      a directory for the Parquet files of the catalogue
    skipped:      files that are no photos; they become malformed rows
    skip_reasons: why each of them is skipped

    Raise BadTable if there are no photos or none is inside a folder.
    """
    import polars as pl

    if not names:
        raise BadTable(f"{folder} contains no photos; expected root/…/leaf/photo.jpg, or give a table.")
    photos = pl.DataFrame({"image": Texts.from_strings(names).to_polars("image")})
    photos = photos.with_columns(
        path=pl.when(pl.col("image").str.contains("/", literal=True)).then(pl.col("image").str.replace(r"/[^/]*$", "")),
        problem=pl.lit(None, pl.String),
        split=pl.lit(None, pl.String),
    )
    if photos["path"].null_count() == photos.height:
        raise BadTable(f"{folder}: no photo is inside a folder; expected root/…/leaf/photo.jpg, or give a table.")
    notes: list[str] = []
    photos = _read_split_folders(photos, folder, notes)
    others = pl.DataFrame(
        {"image": list(skipped), "problem": list(skip_reasons)}, schema={"image": pl.String, "problem": pl.String}
    )
    frame = pl.concat([photos, others], how="diagonal").select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("table_row"),
        pl.lit(0, pl.Int32).alias("table"),
        pl.col("image").alias("id"),
        pl.col("image").alias("product"),
        pl.lit(None, pl.String).alias("title"),
        *("image", "path", "problem", "split"),
    )
    counts = count_texts(frame.lazy(), "path")
    files = CatalogueFiles(scratch)
    lazy, level_names = add_path_levels(frame.lazy(), counts, PathFormat("/"), levels, (), files, notes)
    summary = f"photos in folders · levels: {', '.join(level_names)}"
    has_split = photos["split"].null_count() < photos.height
    return Catalogue(
        frame=lazy,
        row_count=frame.height,
        table_rows=frame.height,
        tables=(str(folder),),
        levels=level_names,
        attributes=(),
        has_products=False,
        has_split=has_split,
        column_summary=summary + (" · split: the folders at the top" if has_split else ""),
        notes=tuple(notes),
    )


def _read_split_folders(photos: pl.DataFrame, folder: Path, notes: list[str]) -> pl.DataFrame:
    """Take the folders at the top as splits and not as categories if all of them are named so."""
    import polars as pl

    top = pl.col("path").str.extract(r"^([^/]*)").str.to_lowercase()
    tops = set(photos.select(top.alias("top"))["top"].drop_nulls())
    if not are_splits(tops):
        return photos
    names = ", ".join(sorted(tops))
    notes.append(
        f"the folders {names} in {folder} are the splits of their photos, not categories; --split and --balanced-test "
        "have no effect"
    )
    return photos.with_columns(
        split=top, path=pl.when(pl.col("path").str.contains("/")).then(pl.col("path").str.replace(r"^[^/]*/", ""))
    )
