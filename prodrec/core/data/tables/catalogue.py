"""Combine tables with any column names into one catalogue: id, image, title, category levels and attributes per row.

A row is one photo of a product: a row of a table with several photos becomes several rows. A missing value is null. The
catalogue is stored in Parquet files, from which single columns or chunks of rows are read. Tens of millions of rows
therefore need little memory.

Shapes: M rows of all tables, R rows of one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.data.tables.catalogue_files import CHUNK_ROWS, CatalogueFiles
from prodrec.core.data.tables.category_columns import find_categories
from prodrec.core.data.tables.category_levels import add_levels
from prodrec.core.data.tables.columnar_table import ColumnarTable
from prodrec.core.data.tables.columns import (
    ColumnNames,
    TableColumns,
    match_columns,
    refuse_repeated_names,
    resolve_columns,
)
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.image_columns import columns_of_photo_names
from prodrec.core.data.tables.malformed_rows import refuse_if_mostly_malformed
from prodrec.core.data.tables.open_table import TableDescription, describe_table, open_table
from prodrec.core.data.tables.product_columns import find_products
from prodrec.core.data.tables.product_ids import complete_products
from prodrec.core.data.tables.records import Table, refuse_damaged
from prodrec.core.data.tables.roles import select_roles
from prodrec.core.data.tables.split_names import split_column_notes, split_note, splits_of_tables
from prodrec.core.data.tables.table_sample import sample_unique_columns, take_sample

if TYPE_CHECKING:
    import polars as pl

    from prodrec.core.data.tables.borrowed_titles import AppliedTitles
    from prodrec.core.data.tables.corrections import AppliedCorrections

LARGE_TABLE_BYTES = 300 << 20
"""Reading a table of this size takes seconds, so it is announced."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All rows of all tables, one table after the other.

    frame:          columns of text: id, product, image, title, split, level_0 …, attribute_0 …, problem (why the row of
                    the table is malformed); of numbers: table, an index into `tables`, and table_row. A level is null
                    where a category path ends before it.
    row_count:      M
    table_rows:     rows of all tables; fewer than M if some have several photos
    tables:         the paths of the tables
    levels:         the names of the category levels, shallowest first
    attributes:     the names of the attributes
    has_products:   whether several rows may be one product; otherwise every row is a product
    has_split:      whether the tables give a split for the rows
    column_summary: one line for the user that lists which column has which role
    notes:          sentences about what was found in the tables and what was done about it
    photo_tables:   the tables whose image column contains the photos themselves, with that column
    columns:        the columns of the first table by role; None for a catalogue of folders
    descriptions:   how each of the tables is read
    corrections:    what --corrections changed; None without it
    borrowed_titles: what --borrowed-titles gave; None without it. The frame then has the lender and the similarity too.
    """

    frame: pl.LazyFrame
    row_count: int
    table_rows: int
    tables: tuple[str, ...]
    levels: tuple[str, ...]
    attributes: tuple[str, ...]
    has_products: bool
    has_split: bool
    column_summary: str
    notes: tuple[str, ...] = ()
    photo_tables: tuple[tuple[ColumnarTable, str], ...] = ()
    columns: TableColumns | None = None
    descriptions: tuple[TableDescription, ...] = ()
    corrections: AppliedCorrections | None = None
    borrowed_titles: AppliedTitles | None = None

    @property
    def table_names(self) -> list[str]:
        """The file names of the tables, or of the folder of photos; the folder `.` has none."""
        return [Path(table).name or table for table in self.tables]

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


def read_catalogue(
    tables: Sequence[Path],
    requested: ColumnNames,
    *,
    scratch: Path,
    encoding: str | None = None,
    missing_values: Sequence[str] = (),
    needs_image: bool = True,
    needs_categories: bool = True,
    max_rows: int | None = None,
) -> Catalogue:
    """Read all tables. The first one determines the columns; the others must have the same ones.

    scratch:        a directory for the Parquet files of the catalogue; it must exist as long as the catalogue is used
    encoding:       of the text tables; None is a guess
    missing_values: values that count as missing, besides the empty text
    needs_image:    whether the tables must have an image column
    needs_categories: whether they must have a column of categories
    max_rows:       rows to read of every table, for a preview; None is all

    Raise NotFound or BadTable if a table cannot be used, and BadOption if `requested` names a column twice.
    """
    refuse_repeated_names(requested)
    notes: list[str] = []
    needs = {"needs_image": needs_image, "needs_categories": needs_categories}
    opened = _open_tables(tables, requested, notes, encoding=encoding, max_rows=max_rows, **needs)
    columns = opened[0][1]
    files = CatalogueFiles(scratch)
    table_splits = None if requested.split else splits_of_tables(tables)
    parts = []
    for number, (table, own_columns) in enumerate(opened):
        size = table.path.stat().st_size
        if size > LARGE_TABLE_BYTES and max_rows is None:
            console.info(f"reading {table.path}, {size / 1e9:.1f} GB")
        split = table_splits[number] if table_splits else None
        folder = "" if _contains_photos(table, own_columns) else _folder_of_photos(table.path, tables)
        with refuse_damaged(table.path):
            parts += [
                files.store(select_roles(chunk, own_columns, number, ("", *missing_values), split=split, folder=folder))
                for chunk in _limited(table.chunks(own_columns.to_read()), max_rows)
            ]
    frame = files.join(parts)
    row_count, table_rows = refuse_if_mostly_malformed(frame, tables)
    notes += [note for table, _ in opened for note in table.notes]
    if table_splits:
        notes.append(split_note("the tables", set(table_splits)))
    frame, has_products = complete_products(frame, columns, requested, files, notes)
    frame, levels = add_levels(frame, columns, requested.levels, missing_values, files, notes)
    return Catalogue(
        frame=frame,
        row_count=row_count,
        table_rows=table_rows,
        tables=tuple(map(str, tables)),
        levels=levels,
        attributes=columns.attributes,
        has_products=has_products,
        has_split=columns.split is not None or table_splits is not None,
        column_summary=columns.describe(),
        notes=tuple(notes),
        photo_tables=tuple(
            (table, own_columns.images[0])
            for table, own_columns in opened
            if isinstance(table, ColumnarTable) and _contains_photos(table, own_columns)
        ),
        columns=columns,
        descriptions=tuple(describe_table(table) for table, _ in opened),
    )


def _open_tables(
    paths: Sequence[Path],
    requested: ColumnNames,
    notes: list[str],
    *,
    encoding: str | None,
    needs_image: bool,
    needs_categories: bool,
    max_rows: int | None,
) -> list[tuple[Table, TableColumns]]:
    """Return every table with its columns. Sentences about the columns are appended to `notes`."""
    opened: list[tuple[Table, TableColumns]] = []
    for path in paths:
        table = open_table(path, encoding, max_rows=max_rows)
        header = Header(table.header, table.path)
        if opened:
            columns = match_columns(header, opened[0][1])
        else:
            photo_columns: Sequence[str] = table.photo_columns if isinstance(table, ColumnarTable) else ()
            if needs_image and requested.image is None:
                photo_columns = photo_columns or columns_of_photo_names(sample_unique_columns(table, header), header)
            sample = take_sample(table, header, requested)
            categories = find_categories(sample, header, requested, needed=needs_categories)
            products = find_products(sample, header, requested)
            columns = resolve_columns(
                header, requested, categories, products, photo_columns=photo_columns, needs_image=needs_image
            )
            if requested.split is None and splits_of_tables(paths) is None:
                notes += split_column_notes(header, sample)
        if isinstance(table, ColumnarTable) and _same_name(path, paths):
            table.photo_folder = path.as_posix()
        opened.append((table, columns))
    return opened


def _contains_photos(table: Table, columns: TableColumns) -> bool:
    """Return whether the table contains the photos themselves."""
    return isinstance(table, ColumnarTable) and bool(columns.images) and columns.images[0] in table.photo_columns


def _folder_of_photos(table: Path, tables: Sequence[Path]) -> str:
    """Return the folder of a table if another one has its name, as `train/metadata.csv` and `test/metadata.csv` do.

    Their photos are beside them, and may have equal names too.
    """
    others = _same_name(table, tables)
    is_unique = table.parent.name not in {other.parent.name for other in others}
    return table.parent.name if others and is_unique else ""


def _same_name(table: Path, tables: Sequence[Path]) -> list[Path]:
    """Return the tables in other folders with the same name."""
    return [other for other in tables if other.name == table.name and other != table]


def _limited(chunks: Iterator[pl.LazyFrame], max_rows: int | None) -> Iterator[pl.LazyFrame]:
    """Yield all chunks, or their first `max_rows` rows."""
    if max_rows is None:
        yield from chunks
        return
    for chunk in chunks:
        rows = chunk.head(max_rows).collect()
        yield rows.lazy()
        max_rows -= rows.height
        if max_rows <= 0:
            return
