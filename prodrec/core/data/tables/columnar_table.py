"""Parquet and Excel tables, read by polars.

Values become text as in `json_table`. A column of photos has the name of each photo as text; `photos` reads their
bytes. It contains binary data, or structs of `bytes` and `path` as Hugging Face writes them, or lists of these. Binary
data that is UTF-8 is text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.json_values import as_text
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN, refuse_damaged, refuse_repeated_columns

if TYPE_CHECKING:
    import polars as pl

PHOTO_ROWS = 256
"""Rows whose photos are in memory at a time."""

_EXACT_FLOATS = 2**53
"""Every whole number below this is exact as a 64-bit float."""

_SAMPLE_ROWS = 8
"""Rows of a binary column that show whether it is text."""


@dataclass
class ColumnarTable:
    """An open Parquet or Excel table; see `records.Table`.

    frame:         the columns with their own types, and unique names
    first_row:     the number of the first row
    class_names:   by column of class numbers, the names of the classes
    problem:       why a row is malformed, as an expression; null if it is not
    header:        the column names; with names that occur several times
    photo_folder:  what precedes the slash in the names of photos inside the table; by default the name of the file
    photo_columns: the columns that contain photos
    """

    path: Path
    frame: pl.LazyFrame
    first_row: int
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    problem: pl.Expr | None = None
    notes: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    photo_folder: str = ""

    def __post_init__(self) -> None:
        self.photo_folder = self.photo_folder or self.path.name
        self._schema = self.frame.collect_schema()
        self.header = self.header or self._schema.names()
        self.photo_columns = [name for name, dtype in self._schema.items() if self._contains_photos(name, dtype)]

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows in one lazy frame; see `records.Table`. Raise BadTable for types that have no text."""
        import polars as pl

        refuse_repeated_columns(self.path, self.header, columns)
        problem = pl.lit(None, pl.String) if self.problem is None else self.problem
        is_malformed = pl.col(PROBLEM_COLUMN).is_not_null()
        texts = [self._text(name, self._schema[name]).alias(name) for name in columns]
        numbered = self.frame.with_row_index(ROW_COLUMN, offset=self.first_row).with_columns(
            pl.col(ROW_COLUMN).cast(pl.Int64)
        )
        frame = numbered.select(ROW_COLUMN, problem.alias(PROBLEM_COLUMN), *texts)
        if self.problem is not None and columns:
            frame = frame.with_columns(pl.when(~is_malformed).then(pl.col(*columns)))
        yield frame

    def photos(self, column: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of every photo in a column, in order."""
        import polars as pl

        height = self.frame.select(pl.len()).collect().item()
        for start in range(0, height, PHOTO_ROWS):
            with refuse_damaged(self.path):
                part = self.frame.select(column).slice(start, PHOTO_ROWS).collect()
            for i, value in enumerate(part[column].to_list(), start):
                values = enumerate(value, 1) if isinstance(value, list) else [(None, value)]
                for number, photo in values:
                    data = photo.get("bytes") if isinstance(photo, dict) else photo
                    if data is not None:
                        yield self.photo_name(i, number), data

    def photo_name(self, position: int, number: int | None = None) -> str:
        """Return the name of the photo in the row at `position`, or of the one with this number in a list."""
        return f"{self._photo_start}{position + self.first_row}" + ("" if number is None else f"-{number}")

    def contains_photos(self, names: pl.Series) -> pl.Series:
        """Return whether each of `names` is that of a photo in this table, and not the path of a file."""
        return names.str.starts_with(self._photo_start).fill_null(value=False)

    @property
    def _photo_start(self) -> str:
        return f"{self.photo_folder}/row-"

    def _contains_photos(self, name: str, dtype: pl.DataType) -> bool:
        import polars as pl

        if isinstance(dtype, pl.List):
            return _is_photo(dtype.inner)
        if dtype == pl.Binary:
            with refuse_damaged(self.path):
                values = self.frame.select(name).head(_SAMPLE_ROWS).collect()[name].drop_nulls().to_list()
            return not values or not all(map(_is_utf8, values))
        return _is_photo(dtype)

    def _text(self, name: str, dtype: pl.DataType) -> pl.Expr:
        """Return the column as text. Raise BadTable for types that have no text."""
        import polars as pl

        column = pl.col(name)
        if name in self.photo_columns:
            return self._photo_names(column, dtype)
        if name in self.class_names:
            names = dict(enumerate(self.class_names[name]))
            if dtype.is_integer():
                return column.replace_strict(names, default=None, return_dtype=pl.String)
            if isinstance(dtype, pl.List) and dtype.inner.is_integer():
                labels = pl.element().replace_strict(names, default=None, return_dtype=pl.String)
                return column.list.eval(labels).map_elements(_nested_as_text, return_dtype=pl.String)
        if dtype.is_float():
            number = pl.when(column.is_finite()).then(column)
            is_whole = (number == number.round()) & (number.abs() < _EXACT_FLOATS)
            whole = number.cast(pl.Int64, strict=False).cast(pl.String)
            return pl.when(is_whole).then(whole).otherwise(number.cast(pl.String))
        if _contains_binary(dtype):
            raise BadTable(f"{self.path}, column {name!r} contains {dtype}; expected text, numbers or lists of them.")
        if dtype.is_nested():
            return column.map_elements(_nested_as_text, return_dtype=pl.String)
        if dtype == pl.Duration:
            return column.dt.to_string("polars")
        return column.cast(pl.String, strict=dtype != pl.Binary)

    def _photo_names(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Return the names of photos, several as a JSON list. A struct without bytes has its path instead."""
        import polars as pl

        prefix = pl.concat_str(pl.lit(self._photo_start), pl.col(ROW_COLUMN).cast(pl.String))
        if isinstance(dtype, pl.List):
            escaped = json.dumps(self._photo_start, ensure_ascii=False)
            prefix = pl.concat_str(pl.lit(escaped[:-1]), pl.col(ROW_COLUMN).cast(pl.String), pl.lit("-"))
            numbers = pl.int_ranges(1, column.list.len().fill_null(0).cast(pl.Int64) + 1).cast(pl.List(pl.String))
            names = numbers.list.join(pl.concat_str(pl.lit('", '), prefix))
            return pl.when(column.list.len() > 0).then(pl.concat_str(pl.lit("["), prefix, names, pl.lit('"]')))
        if not isinstance(dtype, pl.Struct):
            return pl.when(column.is_not_null()).then(prefix)
        has_path = any(part.name == "path" and part.dtype == pl.String for part in dtype.fields)
        path = column.struct.field("path") if has_path else pl.lit(None, pl.String)
        return pl.when(column.struct.field("bytes").is_not_null()).then(prefix).otherwise(path)


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
    return ColumnarTable(path, frame, first_row=1, class_names=hugging_face_classes(metadata))


def hugging_face_classes(metadata: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the class names of the ClassLabel columns that a Hugging Face dataset describes in its metadata.

    A column may contain lists of class numbers: a Sequence, List or LargeList of ClassLabel, or a list of one feature.
    """
    try:
        content = json.loads(metadata.get("huggingface", "{}"))
        features = content.get("info", content).get("features", {})
        names = {name: _names_of_feature(feature) for name, feature in features.items()}
    except (ValueError, AttributeError):
        return {}
    return {name: classes for name, classes in names.items() if classes}


def _names_of_feature(feature: Any) -> list[str]:
    if isinstance(feature, list):
        return _names_of_feature(feature[0]) if len(feature) == 1 else []
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") != "ClassLabel":
        return _names_of_feature(feature.get("feature"))
    names = feature.get("names") or []
    return list(map(str, names.values() if isinstance(names, dict) else names))


def _is_photo(dtype: Any) -> bool:
    import polars as pl

    if isinstance(dtype, pl.Struct):
        return any(part.name == "bytes" and part.dtype == pl.Binary for part in dtype.fields)
    return bool(dtype == pl.Binary)


def _contains_binary(dtype: Any) -> bool:
    """Return whether values inside lists or structs are binary; values of a binary column may be text."""
    import polars as pl

    if isinstance(dtype, pl.List | pl.Array):
        return bool(dtype.inner == pl.Binary) or _contains_binary(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(part.dtype == pl.Binary or _contains_binary(part.dtype) for part in dtype.fields)
    return bool(dtype == pl.Object)


def _is_utf8(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _nested_as_text(value: Any) -> str | None:
    """Return a list or a struct as JSON text."""
    return as_text(value.to_list() if hasattr(value, "to_list") else value)
