"""A catalogue of photos in folders, without a table: `root/…/leaf/photo.jpg`, or `train/root/…/leaf/photo.jpg`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.base.texts import Texts
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.catalogue_files import CatalogueFiles
from prodrec.core.data.tables.category_levels import add_path_levels, count_texts
from prodrec.core.data.tables.category_text import PathFormat
from prodrec.core.data.tables.split_names import SPLIT_NAMES, are_splits, split_note, split_of_folder

if TYPE_CHECKING:
    import polars as pl


_TABLE_ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl", ".xlsx")


def catalogue_from_folders(
    names: Sequence[str],
    folder: Path,
    levels: Sequence[str] = (),
    *,
    scratch: Path,
    ignore_splits: bool = False,
    skipped: Sequence[str] = (),
    skip_reasons: Sequence[str] = (),
) -> Catalogue:
    """Return the catalogue of photos in folders. Each photo is a product, and the folders above it are its categories.

    If all folders of one depth are named as splits, at least one of them `train`, they are the splits of the photos:
    `train/boot/1.jpg`, `shop/train/boot/1.jpg`, `boot/train/1.jpg`.

    names:         the photos, relative to `folder`
    levels:        names for the levels; without them they are level1, level2, …, leaf
    scratch:       a directory for the Parquet files of the catalogue
    ignore_splits: whether such folders are neither splits nor categories
    skipped:       files that are no photos; they become malformed rows
    skip_reasons:  why each of them is skipped

    Raise BadTable if there are no photos or none is inside a folder.
    """
    import polars as pl

    if not names:
        tables = _tables_in(folder, skipped)
        found = f", but tables; name them: prodrec prepare {tables}" if tables else ""
        raise BadTable(f"{folder} contains no photos{found or '; expected root/…/leaf/photo.jpg, or give a table'}.")
    photos = pl.DataFrame({"image": Texts.from_strings(names).to_polars("image")})
    photos = photos.with_columns(
        path=pl.when(pl.col("image").str.contains("/", literal=True)).then(pl.col("image").str.replace(r"/[^/]*$", "")),
        problem=pl.lit(None, pl.String),
        split=pl.lit(None, pl.String),
    )
    if photos["path"].null_count() == photos.height:
        raise BadTable(f"{folder}: no photo is inside a folder; expected root/…/leaf/photo.jpg, or give a table.")
    notes: list[str] = []
    tables = _tables_in(folder, skipped)
    if tables:
        command = f"prodrec prepare {tables} --images {shlex.quote(str(folder))}"
        notes.append(f"{folder} contains tables, which are not read; {command} reads them")
    photos = _read_split_folders(photos, notes, ignore=ignore_splits)
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
        column_summary=summary + (" · split: the folders that are named so" if has_split else ""),
        notes=tuple(notes),
    )


def _tables_in(folder: Path, names: Sequence[str]) -> str:
    """Return the tables in a folder as words of a command line, with `*` for those of one folder and ending.

    Those in an archive would have to be unpacked; they are not returned.
    """
    if not folder.is_dir():
        return ""
    tables = [Path(name) for name in names if Path(name).suffix.lower() in _TABLE_ENDINGS]
    patterns = {f"{shlex.quote((folder / table.parent).as_posix())}/*{table.suffix}" for table in tables}
    return shlex.quote(str(folder / tables[0])) if len(tables) == 1 else " ".join(sorted(patterns))


def _read_split_folders(photos: pl.DataFrame, notes: list[str], *, ignore: bool) -> pl.DataFrame:
    """Take folders that are named as splits out of `path`, and into `split` unless `ignore` is set."""
    import polars as pl

    photos = photos.with_columns(folders=pl.col("path").str.split("/"))
    depth = _depth_of_splits(photos["folders"].drop_nulls())
    if depth is None:
        return photos.drop("folders")
    folders = pl.col("folders")
    above = folders.list.head(folders.list.len() - 1 if depth < 0 else depth)
    below = folders.list.slice(depth + 1) if depth >= 0 else None
    if below is None:
        kept = above
    elif photos.select(above.list.join("/").drop_nulls().n_unique()).item() == 1:
        kept = below  # the folder above is the name of a dataset or an archive
    else:
        kept = pl.concat_list(above, below)
    photos = photos.with_columns(
        path=kept.list.join("/").replace("", None),
        split=folders.list.get(depth, null_on_oob=True),
    ).drop("folders")
    splits = {name: split_of_folder(name) for name in photos["split"].drop_nulls().unique().sort()}
    if ignore or not are_splits(set(splits.values())):
        what = "folder {} is no category" if len(splits) == 1 else "folders {} are no categories"
        notes.append(f"the {what.format(', '.join(splits))}; all photos are split anew")
        return photos.with_columns(split=pl.lit(None, pl.String))
    notes.append(split_note("the folders", list(splits)))
    return photos.with_columns(pl.col("split").replace_strict(splits, return_dtype=pl.String))


def _depth_of_splits(folders: pl.Series) -> int | None:
    """Return the index of the folder of every photo that is named as a split, or None: 0 is at the top, -1 the last.

    At the top, such folders are no categories even if they are no complete set of splits, such as `train/` alone.
    """
    lengths = folders.list.len().to_list()

    def names(depth: int) -> set[str]:
        return set(map(split_of_folder, folders.list.get(depth).unique()))

    if are_splits(names(0)) or (max(lengths) > 1 and names(0) <= SPLIT_NAMES):
        return 0
    deeper = [*range(1, min(lengths)), -1] if min(lengths) > 1 else []
    return next((depth for depth in deeper if are_splits(names(depth))), None)
