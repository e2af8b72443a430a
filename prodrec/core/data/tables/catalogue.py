"""Combine tables with any column names into one catalogue: id, image, title, category levels and attributes per row.

A missing value is null. The catalogue is stored in Parquet files, from which single columns or chunks of rows are read.
Tens of millions of rows therefore need little memory.

Shapes: M rows of all tables, R rows of one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadTable
from prodrec.core.base.texts import Texts
from prodrec.core.data.tables.columns import ColumnNames, refuse_repeated_names, resolve_columns
from prodrec.core.data.tables.files import ROW_COLUMN, map_chunks, read_header

if TYPE_CHECKING:
    import polars as pl

CHUNK_ROWS = 1 << 17
"""Rows in memory at a time, and rows of a row group in the Parquet files."""

LARGE_TABLE_BYTES = 300 << 20
"""Reading a table of this size takes seconds, so it is announced."""

PATH_SEPARATORS = (" > ", ">", "|", " / ", "/")
"""Separators that are suggested for a column of whole category paths, the most specific first."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All rows of all tables, one table after the other.

    frame:          columns of text: id, image, title, split, level_0 …, attribute_0 …; of numbers: table, an index into
                    `tables`, and table_row; only if levels come from paths: depth, the number of levels in the path
    row_count:      M
    tables:         the paths of the tables
    levels:         the names of the category levels, shallowest first
    attributes:     the names of the attributes
    column_summary: one line for the user that lists which column has which role
    """

    frame: pl.LazyFrame
    row_count: int
    tables: tuple[str, ...]
    levels: tuple[str, ...]
    attributes: tuple[str, ...]
    column_summary: str

    def read_column(self, name: str) -> pl.Series:
        """Return one column of all M rows."""
        return self.frame.select(name).collect().to_series()

    def read_chunks(self, *columns: str, rows_R: NDArray[np.int64]) -> Iterator[pl.DataFrame]:
        """Yield `columns` of the ascending `rows_R` in chunks of 1 to CHUNK_ROWS rows."""
        for start in range(0, self.row_count, CHUNK_ROWS):
            first, last = np.searchsorted(rows_R, [start, start + CHUNK_ROWS])
            if first < last:
                chunk = self.frame.slice(start, CHUNK_ROWS).select(columns).collect()
                yield chunk if last - first == chunk.height else chunk[rows_R[first:last] - start]

    def read_rows(self, rows_R: NDArray[np.int64], *columns: str) -> pl.DataFrame:
        """Return `columns` of a few rows, in the order of `rows_R`."""
        import polars as pl

        order_R = np.argsort(rows_R, kind="stable")
        chunks = list(self.read_chunks(*columns, rows_R=rows_R[order_R]))
        if not chunks:
            return self.frame.select(columns).slice(0, 0).collect()
        return pl.concat(chunks)[np.argsort(order_R)]


@dataclass
class _ParquetFiles:
    """Files in `directory` for intermediate results that do not fit in memory."""

    directory: Path
    count: int = field(default=0, init=False)

    def store(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Compute `frame` once, write it to a new file and return a scan of that file."""
        import polars as pl

        path = self.directory / f"catalogue-{self.count}.parquet"
        self.count += 1
        frame.sink_parquet(path, compression="lz4", statistics=False, row_group_size=CHUNK_ROWS)
        return pl.scan_parquet(path, glob=False)


def read_catalogue(
    tables: Sequence[Path],
    requested: ColumnNames,
    *,
    scratch: Path,
    missing_values: Sequence[str] = (),
    needs_image: bool = True,
) -> Catalogue:
    """Read all tables. The first one determines the columns; the others must have the same ones.

    scratch:        a directory for the Parquet files of the catalogue; it must exist as long as the catalogue is used
    missing_values: values that count as missing, besides the empty text
    needs_image:    whether the tables must have an image column

    Raise NotFound or BadTable if a table cannot be used, and BadOption if `requested` names a column twice.
    """
    import polars as pl

    refuse_repeated_names(requested)
    columns = resolve_columns(read_header(tables[0]), requested, table=tables[0], needs_image=needs_image)
    files = _ParquetFiles(scratch)
    parts: list[pl.LazyFrame] = []
    for number, table in enumerate(tables):
        own_columns = resolve_columns(read_header(table), columns, table=table, needs_image=needs_image)
        size = table.stat().st_size
        if size > LARGE_TABLE_BYTES:
            console.info(f"reading {table}, {size / 1e9:.1f} GB")

        def store(chunk: pl.LazyFrame, columns: ColumnNames = own_columns, number: int = number) -> pl.LazyFrame:
            selected = _select_roles(chunk, columns, ("", *missing_values))
            return files.store(selected.with_columns(table=pl.lit(number, pl.Int32)))

        parts += map_chunks(table, own_columns.columns_to_read(), store)
    frame = pl.concat(parts)
    row_count = int(frame.select(pl.len()).collect().item())
    if not row_count:
        raise BadTable(f"{', '.join(map(str, tables))}: zero rows of products; expected one row for each product.")
    levels, summary = columns.levels, columns.describe()
    if columns.path:
        frame, levels = _split_paths(frame, columns.separator, requested.levels)
        frame = files.store(frame)
    elif not requested.levels and len(levels) == 1 and (separator := _guess_path_separator(frame)):
        summary += f" (these look like whole paths: --path-column {levels[0]} --path-separator {separator!r} cuts them)"
    return Catalogue(frame, row_count, tuple(map(str, tables)), levels, columns.attributes, summary)


def catalogue_from_folders(names: Sequence[str], folder: Path, levels: Sequence[str] = ()) -> Catalogue:
    """Return the catalogue of photos in folders: each photo `root/…/leaf/photo.jpg` is a product.

    The folders of a photo are its category path, and its name is its id.

    names:  the photos, relative to `folder`
    levels: names for the levels; without them they are level1, level2, …, leaf

    Raise BadTable if there are no photos or none is inside a folder.
    """
    import polars as pl

    if not names:
        raise BadTable(f"{folder} contains no photos; expected root/…/leaf/photo.jpg, or give a table.")
    image = Texts.from_strings(names).to_polars("image")
    is_in_folder = pl.col("image").str.contains("/", literal=True)
    frame = pl.DataFrame({"image": image}).select(
        pl.int_range(1, len(names) + 1, dtype=pl.Int64).alias("table_row"),
        pl.col("image").alias("id"),
        pl.col("image"),
        pl.lit(None, pl.String).alias("title"),
        pl.lit(None, pl.String).alias("split"),
        pl.when(is_in_folder).then(pl.col("image").str.replace(r"/[^/]*$", "")).alias("path"),
        pl.lit(0, pl.Int32).alias("table"),
    )
    if frame["path"].null_count() == frame.height:
        raise BadTable(f"{folder}: no photo is inside a folder; expected root/…/leaf/photo.jpg, or give a table.")
    lazy, level_names = _split_paths(frame.lazy(), "/", levels)
    summary = f"photos in folders · levels: {', '.join(level_names)}"
    return Catalogue(lazy.collect().lazy(), frame.height, (str(folder),), level_names, (), summary)


def _select_roles(frame: pl.LazyFrame, columns: ColumnNames, missing_values: Sequence[str]) -> pl.LazyFrame:
    """Select the columns of Catalogue.frame. Values are stripped of spaces, and missing values are null."""
    import polars as pl

    def text(column: str | None, name: str) -> pl.Expr:
        value = pl.lit(None, pl.String) if column is None else pl.col(column).str.strip_chars()
        return pl.when(value.is_in(list(missing_values))).then(None).otherwise(value).alias(name)

    id_column = columns.id or columns.image
    selected = [
        pl.col(ROW_COLUMN).cast(pl.Int64).alias("table_row"),
        text(id_column, "id") if id_column else pl.col(ROW_COLUMN).cast(pl.String).alias("id"),
        text(columns.image, "image"),
        text(columns.title, "title"),
        text(columns.split, "split"),
    ]
    if columns.path:
        selected.append(text(columns.path, "path"))
    else:
        selected += [text(column, f"level_{i}") for i, column in enumerate(columns.levels)]
    return frame.select(*selected, *(text(column, f"attribute_{i}") for i, column in enumerate(columns.attributes)))


def _split_paths(frame: pl.LazyFrame, separator: str, names: Sequence[str]) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    """Replace the column `path` by level_0 … and `depth`; also return the names of the levels.

    The number of levels is that of `names`, or without `names` the most frequent depth; then the levels are named
    level1, level2, …, leaf. A row of another depth has null levels.
    """
    import polars as pl

    parts = pl.col("path").str.split(separator.strip() or separator).list.eval(pl.element().str.strip_chars())
    frame = frame.with_columns(path=parts).with_columns(depth=pl.col("path").list.len())
    depths = frame.select(pl.col("depth").drop_nulls()).group_by("depth").len("count")
    most_frequent = depths.sort("count", "depth", descending=True).head(1).collect(engine="streaming")
    depth = len(names) or (most_frequent["depth"].item() if most_frequent.height else 1)
    levels = tuple(names) or (*(f"level{i + 1}" for i in range(depth - 1)), "leaf")

    def level(i: int) -> pl.Expr:
        value = pl.col("path").list.get(i, null_on_oob=True)
        return pl.when((pl.col("depth") == depth) & (value != "")).then(value).alias(f"level_{i}")

    return frame.with_columns(level(i) for i in range(depth)).drop("path"), levels


def _guess_path_separator(frame: pl.LazyFrame) -> str | None:
    """Return the separator that more than half of the distinct leaves contain, or None."""
    import polars as pl

    leaf = pl.col("level_0")
    leaves = frame.select(leaf.drop_nulls().unique()).collect(engine="streaming").to_series()
    return next((s for s in PATH_SEPARATORS if leaves.str.contains(s, literal=True).sum() > 0.5 * len(leaves)), None)
