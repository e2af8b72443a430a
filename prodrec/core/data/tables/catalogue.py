"""From tables with any column names to one catalogue: every row's id, image, title, category path and attributes.

What is missing stays null. A catalogue of ten million rows is kept in Parquet files, of which one column, or some
rows, are in memory at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadTable
from prodrec.core.base.texts import Texts
from prodrec.core.data.tables.columns import Columns, find_columns, refuse_repeated
from prodrec.core.data.tables.files import ROW, column_names, each_part

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Catalogue", "Columns", "catalogue_of_folders", "find_columns", "read_catalogue"]

ROWS_AT_ONCE = 1 << 17
LARGE_TABLE = 300 << 20
"""Bytes from which on a person is told what is being waited for."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Every row of every table, as text.

    lazy:  table (index), table_row, id, image, title, split, level_0 …, attribute_0 …; null where a value is missing.
           `depth`, only where levels come from paths: how many levels the row's path has.
    rows:  how many rows all tables have
    found: one line that says which column was taken for what
    """

    lazy: pl.LazyFrame
    rows: int
    tables: tuple[str, ...]
    levels: tuple[str, ...]
    attributes: tuple[str, ...]
    found: str

    def column(self, name: str) -> pl.Series:
        """One column of all rows."""
        return self.lazy.select(name).collect().to_series()

    def pieces(self, *columns: str, rows: NDArray[np.int64]) -> Iterator[pl.DataFrame]:
        """The columns of `rows` (ascending), some rows at a time; a piece has at least one."""
        for start in range(0, self.rows, ROWS_AT_ONCE):
            first, last = np.searchsorted(rows, [start, start + ROWS_AT_ONCE])
            if first < last:
                piece = self.lazy.slice(start, ROWS_AT_ONCE).select(columns).collect()
                yield piece if last - first == piece.height else piece[rows[first:last] - start]

    def at(self, rows: NDArray[np.int64], *columns: str) -> pl.DataFrame:
        """The columns of a few rows (ascending)."""
        import polars as pl

        found = list(self.pieces(*columns, rows=rows))
        return pl.concat(found) if found else self.lazy.select(columns).slice(0, 0).collect()


def read_catalogue(
    tables: Sequence[Path],
    given: Columns,
    *,
    beside: Path,
    missing_values: Sequence[str] = (),
    shows_photos: bool = True,
) -> Catalogue:
    """Read all tables; the columns found in the first one must be in all of them. Raises NotFound or BadTable.

    beside: a directory for the Parquet files that hold the catalogue, which must stay there
    """
    import polars as pl

    refuse_repeated(given)
    columns = find_columns(column_names(tables[0]), given, table=tables[0], shows_photos=shows_photos)
    keep = _keeper(beside)
    parts: list[pl.LazyFrame] = []
    for number, table in enumerate(tables):
        here = find_columns(column_names(table), columns, table=table, shows_photos=shows_photos)
        if table.stat().st_size > LARGE_TABLE:
            console.info(f"reading {table}, {table.stat().st_size / 1e9:.1f} GB")

        def take(part: pl.LazyFrame, here: Columns = here, number: int = number) -> pl.LazyFrame:
            return keep(_select(part, here, ("", *missing_values)).with_columns(table=pl.lit(number, pl.Int32)))

        parts += each_part(table, here.names(), take)
    lazy = pl.concat(parts)
    rows = int(lazy.select(pl.len()).collect().item())
    if not rows:
        raise BadTable(f"{', '.join(map(str, tables))}: zero rows of products; expected one row for each product.")
    levels, found = columns.levels, columns.describe()
    if columns.path:
        lazy, levels = _split_paths(lazy, columns.separator, given.levels)
        lazy = keep(lazy)
    elif not given.levels and len(levels) == 1 and (separator := _separator_of_paths(lazy)):
        found += f" (these look like whole paths: --path-column {levels[0]} --path-separator {separator!r} cuts them)"
    return Catalogue(lazy, rows, tuple(map(str, tables)), levels, columns.attributes, found)


def _keeper(beside: Path) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    """Computes a part once and keeps it in a file of its own in `beside`."""
    import polars as pl

    numbers = itertools.count()

    def keep(part: pl.LazyFrame) -> pl.LazyFrame:
        path = beside / f"catalogue-{next(numbers)}.parquet"
        part.sink_parquet(path, compression="lz4", statistics=False, row_group_size=ROWS_AT_ONCE)
        return pl.scan_parquet(path, glob=False)

    return keep


def _separator_of_paths(lazy: pl.LazyFrame) -> str | None:
    """What stands between levels where most leaves look like whole paths."""
    import polars as pl

    leaf = pl.col("level_0")
    distinct = lazy.select(leaf.drop_nulls().unique()).collect(engine="streaming").to_series()
    marks = (" > ", ">", "|", " / ", "/")
    return next((m for m in marks if distinct.str.contains(m, literal=True).sum() > 0.5 * len(distinct)), None)


def _select(lazy: pl.LazyFrame, columns: Columns, missing: Sequence[str]) -> pl.LazyFrame:
    import polars as pl

    def text(column: str | None, name: str) -> pl.Expr:
        value = pl.lit(None, pl.String) if column is None else pl.col(column).str.strip_chars()
        return pl.when(value.is_in(list(missing))).then(None).otherwise(value).alias(name)

    named = columns.id or columns.image
    parts = [
        pl.col(ROW).cast(pl.Int64).alias("table_row"),
        text(named, "id") if named else pl.col(ROW).cast(pl.String).alias("id"),
        text(columns.image, "image"),
        text(columns.title, "title"),
        text(columns.split, "split"),
    ]
    if columns.path:
        parts.append(text(columns.path, "path"))
    else:
        parts += [text(column, f"level_{i}") for i, column in enumerate(columns.levels)]
    return lazy.select(*parts, *(text(column, f"attribute_{i}") for i, column in enumerate(columns.attributes)))


def catalogue_of_folders(names: Sequence[str], where: Path, levels: Sequence[str] = ()) -> Catalogue:
    """Every photo of `root/…/leaf/photo.jpg` is a product: its folders are its path, its name is its id.

    Raises BadTable where there are no photos or none is inside a folder.
    """
    import polars as pl

    if not names:
        raise BadTable(f"{where} holds no photos; expected root/…/leaf/photo.jpg, or give a table.")
    image = Texts.of(names).to_polars("image")
    inside = pl.col("image").str.contains("/", literal=True)
    frame = pl.DataFrame({"image": image}).select(
        pl.int_range(1, len(names) + 1, dtype=pl.Int64).alias("table_row"),
        pl.col("image").alias("id"),
        pl.col("image"),
        pl.lit(None, pl.String).alias("title"),
        pl.lit(None, pl.String).alias("split"),
        pl.when(inside).then(pl.col("image").str.replace(r"/[^/]*$", "")).alias("path"),
        pl.lit(0, pl.Int32).alias("table"),
    )
    if frame["path"].null_count() == frame.height:
        raise BadTable(f"{where}: no photo is inside a folder; expected root/…/leaf/photo.jpg, or give a table.")
    lazy, found = _split_paths(frame.lazy(), "/", levels)
    told = f"photos in folders · levels: {', '.join(found)}"
    return Catalogue(lazy.collect().lazy(), frame.height, (str(where),), found, (), told)


def _split_paths(lazy: pl.LazyFrame, separator: str, names: Sequence[str]) -> tuple[pl.LazyFrame, tuple[str, ...]]:
    """Replace the column `path` by level_0 …, and `depth`; as many levels as named, else as most rows have.

    Without names the levels are level1, level2, …, leaf.
    """
    import polars as pl

    parts = pl.col("path").str.split(separator.strip() or separator).list.eval(pl.element().str.strip_chars())
    lazy = lazy.with_columns(path=parts).with_columns(depth=pl.col("path").list.len())
    depths = lazy.select(pl.col("depth").drop_nulls()).group_by("depth").len("count")
    depths = depths.sort("count", "depth", descending=True).head(1)
    found: list[tuple[Any, ...]] = depths.collect(engine="streaming").rows()
    depth = len(names) or (found[0][0] if found else 1)
    levels = tuple(names) or (*(f"level{i + 1}" for i in range(depth - 1)), "leaf")

    def level(i: int) -> pl.Expr:
        value = pl.col("path").list.get(i, null_on_oob=True)
        return pl.when((pl.col("depth") == depth) & (value != "")).then(value).alias(f"level_{i}")

    return lazy.with_columns(level(i) for i in range(depth)).drop("path"), levels
