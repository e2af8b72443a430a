"""Parquet and Excel tables, read by polars.

Values become text as in `json_table`. A column of photos, binary or a struct of `bytes` and `path` as Hugging Face
writes them, has the name of each photo as text; `photos` reads their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

PHOTO_ROWS = 256
"""Rows whose photos are in memory at a time."""

_EXACT_FLOATS = 2**53
"""Every whole number below this is exact as a 64-bit float."""


@dataclass
class ColumnarTable:
    """An open Parquet or Excel table; see `records.Table`.

    frame:         the columns with their own types
    first_row:     the number of the first row
    class_names:   by column of class numbers, the names of the classes
    photo_columns: the columns that contain photos
    """

    path: Path
    frame: pl.LazyFrame
    first_row: int
    class_names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        schema = self.frame.collect_schema()
        self.header = schema.names()
        self.photo_columns = [name for name, dtype in schema.items() if _is_photo(dtype)]

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows in one lazy frame; see `records.Table`."""
        import polars as pl

        schema = self.frame.collect_schema()
        frame = self.frame.select(columns) if columns else self.frame.select(pl.first())
        frame = frame.with_row_index(ROW_COLUMN, offset=self.first_row).with_columns(
            *(self._text(name, schema[name]) for name in columns),
            pl.lit(None, pl.String).alias(PROBLEM_COLUMN),
            pl.col(ROW_COLUMN).cast(pl.Int64),
        )
        yield frame.select(ROW_COLUMN, PROBLEM_COLUMN, *columns)

    def photos(self, column: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of the photo in every row that has one, in order."""
        import polars as pl

        height = self.frame.select(pl.len()).collect().item()
        for start in range(0, height, PHOTO_ROWS):
            part = self.frame.select(column).slice(start, PHOTO_ROWS).collect()
            for i, value in enumerate(part[column]):
                data = value.get("bytes") if isinstance(value, dict) else value
                if data is not None:
                    yield self.photo_name(start + i), data

    def photo_name(self, position: int) -> str:
        """Return the name of the photo in the row at `position`."""
        return f"{self.path.name}/row-{position + self.first_row}"

    def _text(self, name: str, dtype: pl.DataType) -> pl.Expr:
        """Return the column as text. Raise BadTable for types that have no text."""
        import polars as pl

        column = pl.col(name)
        if name in self.photo_columns:
            data = column.struct.field("bytes") if isinstance(dtype, pl.Struct) else column
            row = pl.concat_str(pl.lit(f"{self.path.name}/row-"), pl.col(ROW_COLUMN).cast(pl.String))
            return pl.when(data.is_not_null()).then(row).alias(name)
        if name in self.class_names:
            names = self.class_names[name]
            return column.replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)
        if dtype.is_float():
            number = column.fill_nan(None)
            is_whole = (number == number.round()) & (number.abs() < _EXACT_FLOATS)
            return (
                pl.when(is_whole)
                .then(number.cast(pl.Int64, strict=False).cast(pl.String))
                .otherwise(number.cast(pl.String))
            )
        if isinstance(dtype, pl.List | pl.Array):
            return column.map_elements(_list_as_text, return_dtype=pl.String)
        if isinstance(dtype, pl.Struct):
            return column.struct.json_encode()
        if isinstance(dtype, pl.Binary | pl.Object):
            raise BadTable(f"{self.path}, column {name!r} contains {dtype}; expected text, numbers or lists of them.")
        return column.cast(pl.String)


def open_parquet(path: Path) -> ColumnarTable:
    """Open a Parquet file; the class names that Hugging Face stores in its metadata replace class numbers.

    Raise BadTable if it is not readable.
    """
    import polars as pl

    try:
        frame = pl.scan_parquet(path, glob=False)
        frame.collect_schema()
        metadata = pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadTable(f"{path} is not readable as Parquet: {str(error).splitlines()[0].rstrip('.')}.") from error
    table = ColumnarTable(path, frame, first_row=1)
    table.class_names = {name: names for name, names in _class_names(metadata).items() if name in table.header}
    return table


def open_excel(path: Path) -> ColumnarTable:
    """Open the first sheet of a workbook (.xlsx, .xls, .xlsb, .ods) that has rows. Raise BadTable if there is none."""
    import polars as pl

    try:
        sheets = pl.read_excel(path, sheet_id=0, engine="calamine", raise_if_empty=False, drop_empty_rows=False)
    except Exception as error:  # the reader raises errors of its own library
        raise BadTable(
            f"{path} is not readable as an Excel workbook: {str(error).splitlines()[0].rstrip('.')}."
        ) from error
    filled = {name: sheet for name, sheet in sheets.items() if sheet.height and sheet.width}
    if not filled:
        raise BadTable(f"{path} has no sheet with a header and rows.")
    name, sheet = next(iter(filled.items()))
    table = ColumnarTable(path, sheet.lazy(), first_row=2)
    if len(filled) > 1:
        table.notes.append(f"{path}: the sheet {name!r} is read; {len(filled) - 1} other sheets are ignored")
    return table


def _class_names(metadata: dict[str, str]) -> dict[str, list[str]]:
    """Return the class names of the ClassLabel columns that a Hugging Face dataset describes in its metadata."""
    try:
        features = json.loads(metadata.get("huggingface", "{}")).get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    return {
        name: [str(class_name) for class_name in feature["names"]]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def _is_photo(dtype: pl.DataType) -> bool:
    import polars as pl

    if isinstance(dtype, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)
    return dtype == pl.Binary


def _list_as_text(values: Any) -> str:
    return json.dumps(values.to_list() if hasattr(values, "to_list") else list(values), ensure_ascii=False, default=str)
