"""Bring the rows of a table into the columns of a catalogue, one row for every photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prodrec.core.data.tables.cells import split_photos
from prodrec.core.data.tables.columns import TableColumns
from prodrec.core.data.tables.markup import clean_titles
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

_MAY_BE_LIST = r"[,;|\n]|^\s*[\[{]"


def select_roles(frame: pl.LazyFrame, columns: TableColumns, table: int, missing_values: Sequence[str]) -> pl.LazyFrame:
    """Return the columns of `Catalogue.frame` before ids and categories are completed, one row for every photo.

    Values are stripped of blanks, and missing values are null. A title has no HTML. The category is `path`, or
    `level_0` ….

    table: the number of the table
    """
    import polars as pl

    def text(column: str | None, name: str) -> pl.Expr:
        if column is None:
            return pl.lit(None, pl.String).alias(name)
        value = pl.col(column).str.strip_chars()
        return pl.when(value.is_in(list(missing_values))).then(None).otherwise(value).alias(name)

    title = text(columns.title, "title")
    selected = [
        pl.col(ROW_COLUMN).cast(pl.Int64).alias("table_row"),
        pl.col(PROBLEM_COLUMN).alias("problem"),
        text(columns.id, "id"),
        text(columns.group, "product"),
        *(text(column, f"image_{i}") for i, column in enumerate(columns.images)),
        text(columns.split, "split"),
        *([text(columns.path, "path")] if columns.path else []),
        *(text(column, f"level_{i}") for i, column in enumerate(columns.levels)),
        *(text(column, f"attribute_{i}") for i, column in enumerate(columns.attributes)),
    ]
    rows = frame.select(*selected, title if columns.title is None else _cleaned(title)).with_columns(
        table=pl.lit(table, pl.Int32)
    )
    return _one_row_per_photo(rows, len(columns.images))


def _cleaned(title: pl.Expr) -> pl.Expr:
    import polars as pl

    cleaned = clean_titles(title)
    return pl.when(cleaned != "").then(cleaned).alias("title")


def _one_row_per_photo(rows: pl.LazyFrame, image_columns: int) -> pl.LazyFrame:
    """Replace `image_0` … by `image`: a row for every photo that they name, and one row if they name none."""
    import polars as pl

    if not image_columns:
        return rows.with_columns(image=pl.lit(None, pl.String))

    def expand(chunk: pl.DataFrame) -> pl.DataFrame:
        cells = [chunk[f"image_{i}"] for i in range(image_columns)]
        chunk = chunk.drop(f"image_{i}" for i in range(image_columns))
        if image_columns == 1 and not cells[0].str.contains(_MAY_BE_LIST).any():
            return chunk.with_columns(cells[0].alias("image"))
        photos: list[list[str | None]] = [
            [*dict.fromkeys(name for cell in row if cell for name in split_photos(cell))] or [None]
            for row in zip(*(cell.to_list() for cell in cells), strict=True)
        ]
        return chunk.with_columns(pl.Series("image", photos, dtype=pl.List(pl.String))).explode("image")

    schema = rows.collect_schema()
    columns = [name for name in schema if not name.startswith("image_")]
    return rows.map_batches(
        expand,
        schema={**{name: schema[name] for name in columns}, "image": pl.String},
        streamable=True,
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )
