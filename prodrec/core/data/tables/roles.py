"""Bring the rows of a table into the columns of a catalogue, one row for every photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prodrec.core.data.tables.cells import split_photos
from prodrec.core.data.tables.column_names import CONTINUATIONS
from prodrec.core.data.tables.columns import TableColumns
from prodrec.core.data.tables.markup import clean_titles
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

_ABSOLUTE = r"^(?:[/\\]|[A-Za-z][A-Za-z0-9+.-]*:)"
"""A path from the root, on a drive of Windows, or a web address."""

_MAY_BE_LIST = r"[,;|\n]|^\s*[\[{]|\s(?:https?:)?//"

_INVISIBLE = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
"""Soft hyphens, zero-width signs and marks of direction, which copying from web pages and right-to-left text leaves."""


def select_roles(
    frame: pl.LazyFrame,
    columns: TableColumns,
    table: int,
    missing_values: Sequence[str],
    *,
    split: str | None = None,
    folder: str = "",
) -> pl.LazyFrame:
    """Return the columns of `Catalogue.frame` before ids and categories are completed, one row for every photo.

    Values are stripped of blanks, and missing values are null. A title has no HTML. The category is `path`, or
    `level_0` ….

    table: the number of the table
    split: the split of all its rows, if it has no column of splits
    folder: the folder to which its photos are relative
    """
    import polars as pl

    def text(column: str | None, name: str) -> pl.Expr:
        return pl.lit(None, pl.String).alias(name) if column is None else stripped(pl.col(column)).alias(name)

    def key(column: str | None, name: str) -> pl.Expr:
        """Return the text without invisible signs: with them, equal ids are two products."""
        if column is None:
            return text(column, name)
        return stripped(pl.col(column).str.replace_all(_INVISIBLE, "")).alias(name)

    def stripped(value: pl.Expr) -> pl.Expr:
        value = value.str.strip_chars()
        return pl.when(value.is_in(list(missing_values))).then(None).otherwise(value)

    title = text(columns.title, "title")
    selected = [
        pl.col(ROW_COLUMN).cast(pl.Int64).alias("table_row"),
        pl.col(PROBLEM_COLUMN).alias("problem"),
        key(columns.id, "id") if columns.kind is None else _id_of_products(key(columns.id, "id"), columns.kind),
        key(columns.group, "product"),
        *([key(columns.second_id, "second_id")] if columns.second_id else []),
        *([text(columns.variants, "variants")] if columns.variants else []),
        *(text(column, f"image_{i}") for i, column in enumerate(columns.images)),
        key(columns.split, "split") if columns.split else pl.lit(split, pl.String).alias("split"),
        *([text(columns.path, "path")] if columns.path else []),
        *(text(column, f"level_{i}") for i, column in enumerate(columns.levels)),
        *(text(column, f"attribute_{i}") for i, column in enumerate(columns.attributes)),
    ]
    rows = frame.select(*selected, title if columns.title is None else _cleaned(title)).with_columns(
        table=pl.lit(table, pl.Int32)
    )
    rows = _one_row_per_photo(rows, len(columns.images))
    is_relative = ~pl.col("image").str.contains(_ABSOLUTE)
    in_folder = pl.concat_str(pl.lit(f"{folder}/"), "image")
    return rows.with_columns(image=pl.when(is_relative).then(in_folder).otherwise("image")) if folder else rows


def _id_of_products(id_: pl.Expr, kind: str) -> pl.Expr:
    """Return the id, or null in rows that belong to the product above."""
    import polars as pl

    continues = pl.col(kind).str.strip_chars().str.to_lowercase().is_in(CONTINUATIONS)
    return pl.when(~continues.fill_null(value=False)).then(id_)


def _cleaned(title: pl.Expr) -> pl.Expr:
    import polars as pl

    cleaned = clean_titles(title)
    return pl.when(cleaned != "").then(cleaned).alias("title")


def _one_row_per_photo(rows: pl.LazyFrame, image_columns: int) -> pl.LazyFrame:
    """Replace `image_0` … by `image`: a row for every photo that they name, and one row if they name none."""
    import polars as pl

    if not image_columns:
        return rows.with_columns(image=pl.lit(None, pl.String))

    schema = rows.collect_schema()
    new_schema = {name: dtype for name, dtype in schema.items() if not name.startswith("image_")} | {"image": pl.String}
    columns_of_catalogue = list(new_schema)

    def expand(chunk: pl.DataFrame) -> pl.DataFrame:
        cells = [f"image_{i}" for i in range(image_columns)]
        if image_columns == 1 and not chunk["image_0"].str.contains(_MAY_BE_LIST).any():
            return chunk.rename({"image_0": "image"}).select(columns_of_catalogue)
        chunk = chunk.with_row_index("row")
        named = chunk.select("row", image=pl.concat_list(cells)).explode("image").drop_nulls("image")
        named = named.with_row_index("order")
        lists = named.filter(pl.col("image").str.contains(_MAY_BE_LIST))
        split = pl.Series("image", [split_photos(text) for text in lists["image"]], dtype=pl.List(pl.String))
        photos = pl.concat(
            [
                named.filter(~pl.col("image").str.contains(_MAY_BE_LIST)),
                lists.with_columns(split).explode("image").drop_nulls("image"),
            ]
        )
        photos = photos.sort("order", maintain_order=True).unique(["row", "image"], keep="first", maintain_order=True)
        joined = chunk.drop(cells).join(photos, on="row", how="left", maintain_order="left_right")
        return joined.select(columns_of_catalogue)

    return rows.map_batches(
        expand,
        schema=new_schema,
        streamable=True,
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )
