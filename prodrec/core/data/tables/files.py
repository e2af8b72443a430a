"""Read product tables (CSV, TSV, JSON lines, Parquet) as text columns with row numbers.

polars streams the table. If it refuses a CSV file, for example because of a lone quote (`5" heel`), Python's own reader
either reads the file row by row or reports the malformed row.

Rows are numbered as a user sees them: in CSV and TSV the header is row 1 and the first product is row 2; in JSON lines
the row is the line; Parquet rows count from 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from prodrec.core.base.errors import BadTable, NotFound
from prodrec.core.data.tables.csv_rows import (
    FIRST_CSV_ROW,
    decode_lines,
    detect_separator,
    has_expected_separator_count,
    open_decompressed,
    read_csv_header,
    read_csv_rows,
)

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

ROW_COLUMN = "__row"
"""The column that contains the row number."""

FORMATS = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""Formats by suffix."""

FIRST_ROWS = {"csv": FIRST_CSV_ROW, "tsv": FIRST_CSV_ROW, "jsonl": 1, "parquet": 1}
"""The number of the first product row, by format."""

_EXPECTED = "expected CSV, TSV, JSON lines or Parquet"
_CHUNK_ROWS = 100_000
"""Rows that are Python strings at a time when Python's reader reads a CSV file: 150 MB with 20 columns."""
_EXACT_FLOATS = 2**53
"""Every whole number below this is exact as a 64-bit float."""


def table_format(table: Path) -> str:
    """Return csv, tsv, jsonl or parquet, by the suffix of the name.

    Raise NotFound if `table` does not exist, and BadTable if it has another suffix or cannot be a table.
    """
    if not table.exists():
        raise NotFound(f"table {table} does not exist.")
    if table.is_dir():
        raise BadTable(f"{table} is a directory, not a table; {_EXPECTED}.")
    suffixes = [suffix.lower() for suffix in table.suffixes if suffix.lower() != ".gz"]
    file_format = FORMATS.get(suffixes[-1]) if suffixes else None
    if file_format is None:
        raise BadTable(f"{table} is not a table that prodrec reads; {_EXPECTED} (.csv .tsv .jsonl .parquet).")
    if file_format != "parquet":
        _refuse_binary(table, file_format)
    return file_format


def _refuse_binary(table: Path, file_format: str) -> None:
    """Raise BadTable if the file is empty, cannot be decompressed or does not begin with UTF-8 text."""
    try:
        with open_decompressed(table) as stream:
            start = stream.read(1 << 16)
    except (OSError, EOFError) as error:
        raise BadTable(f"{table} cannot be read: {error}.") from error
    if not start.strip():
        content = "rows" if file_format == "jsonl" else "a header and rows"
        raise BadTable(f"{table} is empty; expected a {file_format.upper()} table with {content}.")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadTable(f"{table} is UTF-16 text; save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`).")
    if b"\0" in start:
        raise BadTable(f"{table} is not a text table (it contains binary data); {_EXPECTED}.")


def read_header(table: Path) -> list[str]:
    """Return the column names of a table, in order. Raise NotFound or BadTable."""
    import polars as pl

    file_format = table_format(table)
    try:
        if file_format in ("csv", "tsv"):
            return read_csv_header(table, file_format)
        return [name for name in _scan(table, file_format).collect_schema().names() if name != ROW_COLUMN]
    except pl.exceptions.PolarsError as error:
        raise _unreadable(table, file_format, error) from error


def map_chunks(table: Path, columns: Sequence[str], function: Callable[[pl.LazyFrame], T]) -> list[T]:
    """Call `function` on every chunk of the table and return its results, in order.

    A chunk has the `columns` as text (null or `""` where empty) and `__row`, the row number described above. polars
    streams the whole table as one chunk. If it fails on a CSV file, the result so far is discarded, and Python's reader
    produces many small chunks.

    Raise BadTable with the row where a text table is not UTF-8 or a row has more or fewer fields than the header.
    """
    import polars as pl

    file_format, columns = table_format(table), list(dict.fromkeys(columns))
    if file_format in ("csv", "tsv"):
        return _map_csv(table, file_format, columns, function)
    try:
        return [function(_as_text(_scan(table, file_format).select(ROW_COLUMN, *columns), table))]
    except pl.exceptions.PolarsError as error:
        raise _unreadable(table, file_format, error) from error


def _scan(table: Path, file_format: str) -> pl.LazyFrame:
    """Open a table with polars, with the number of each row in ROW_COLUMN."""
    import polars as pl

    first = FIRST_ROWS[file_format]
    if file_format == "parquet":
        return pl.scan_parquet(table, glob=False, row_index_name=ROW_COLUMN, row_index_offset=first)
    if file_format == "jsonl":
        return pl.scan_ndjson(table, infer_schema_length=None, row_index_name=ROW_COLUMN, row_index_offset=first)
    return pl.scan_csv(
        table,
        separator=detect_separator(table, file_format),
        infer_schema=False,
        glob=False,
        row_index_name=ROW_COLUMN,
        row_index_offset=first,
    )


def _map_csv(table: Path, file_format: str, columns: list[str], function: Callable[[pl.LazyFrame], T]) -> list[T]:
    """Call `function` on the table as polars reads it; if polars fails, on the chunks of Python's reader."""
    import polars as pl

    header = read_csv_header(table, file_format)
    repeated = [name for name in columns if header.count(name) > 1]
    if repeated:
        raise BadTable(f"{table} has the column {repeated[0]!r} twice; rename one of them.")
    lazy = _scan(table, file_format)
    try:
        result = function(lazy.select(ROW_COLUMN, *columns))
        # polars refuses a row that is too long only if all columns are read, and fills one that is too short with null.
        nulls = lazy.select(pl.all().null_count()).collect(engine="streaming")
        if nulls[:, -1].item() and not has_expected_separator_count(table, file_format, header):
            for _ in read_csv_rows(table, file_format, header):  # raises BadTable at a short row
                pass
    except pl.exceptions.PolarsError:
        return [function(chunk.lazy()) for chunk in _csv_chunks(table, file_format, header, columns)]
    return [result]


def _csv_chunks(table: Path, file_format: str, header: list[str], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield the table in chunks read by Python's reader; a table without rows is one empty chunk."""
    import polars as pl

    fields = {name: header.index(name) for name in columns}
    schema = dict.fromkeys(fields, pl.String)
    rows, number = read_csv_rows(table, file_format, header), FIRST_CSV_ROW
    while (chunk := list(itertools.islice(rows, _CHUNK_ROWS))) or number == FIRST_CSV_ROW:
        values = {name: [row[i] or None if row else None for row in chunk] for name, i in fields.items()}
        yield pl.DataFrame(values, schema=schema).with_row_index(ROW_COLUMN, offset=number)
        number += len(chunk)
        if not chunk:
            return


def _as_text(lazy: pl.LazyFrame, table: Path) -> pl.LazyFrame:
    """Cast all columns to text: whole numbers without `.0`, lists (a category path in JSON) joined by ` > `.

    Raise BadTable for JSON objects, nested lists and binary values.
    """
    import polars as pl

    dtypes = {name: dtype for name, dtype in lazy.collect_schema().items() if name != ROW_COLUMN}
    floats = [name for name, dtype in dtypes.items() if dtype.is_float()]
    whole = lazy.select(_is_whole(name) for name in floats).collect(engine="streaming") if floats else pl.DataFrame()

    def text(name: str, dtype: pl.DataType) -> pl.Expr:
        inner = dtype.inner if isinstance(dtype, pl.List) else dtype
        if isinstance(inner, pl.Struct | pl.List | pl.Binary | pl.Object):
            raise BadTable(f"{table}, column {name!r} contains {dtype}; expected text, numbers or lists of them.")
        if isinstance(dtype, pl.List):
            return pl.col(name).cast(pl.List(pl.String)).list.join(" > ", ignore_nulls=True)
        if name in floats:
            number = pl.col(name).fill_nan(None)
            return (number.cast(pl.Int64) if whole[name].item() else number).cast(pl.String)
        return pl.col(name).cast(pl.String)

    return lazy.with_columns(text(name, dtype) for name, dtype in dtypes.items())


def _is_whole(name: str) -> pl.Expr:
    """Return the expression that is true if all values of the float column are exact whole numbers."""
    import polars as pl

    number = pl.col(name).fill_nan(None)
    return ((number == number.round()) & (number.abs() < _EXACT_FLOATS)).all()


def _unreadable(table: Path, file_format: str, error: Exception) -> BadTable:
    """Return the error to raise in place of `error` from polars; for JSON lines it names the malformed line."""
    import json

    if file_format == "jsonl":
        with open_decompressed(table) as stream:
            for number, line in enumerate(decode_lines(table, stream), start=1):
                try:
                    record = json.loads(line) if line.strip() else {}
                except json.JSONDecodeError as cause:
                    return BadTable(f"{table}, line {number}: not JSON ({cause.msg}); expected one object per line.")
                if not isinstance(record, dict):
                    return BadTable(f"{table}, line {number}: not a JSON object; expected one object per line.")
    names = {"jsonl": "JSON lines", "parquet": "Parquet"}
    return BadTable(f"{table} is not readable as {names[file_format]}: {str(error).splitlines()[0].rstrip('.')}.")
