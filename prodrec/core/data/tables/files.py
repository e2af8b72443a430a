"""Reads products tables, CSV, TSV, JSON lines and Parquet: all values as text, with the row number to look up.

polars reads, streaming. Where it refuses a CSV file (a lone quote as in `5" heel`), Python's own reader goes through
it row by row and either reads it or names the row that is wrong.

How rows are counted: as a spreadsheet does. In CSV and TSV the header is row 1 and the first product row 2; JSON lines
count lines, Parquet counts from 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from prodrec.core.base.errors import BadTable, NotFound
from prodrec.core.data.tables.csv_rows import FIRST_ROW as BELOW_HEADER
from prodrec.core.data.tables.csv_rows import (
    fields_are_even,
    header_of,
    open_bytes,
    rows_below,
    separator_of,
    text_lines,
)

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")

ROW = "__row"
TEXT_KINDS = {".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
KINDS = {**TEXT_KINDS, ".parquet": "parquet", ".pq": "parquet"}
FIRST_ROW = {"csv": BELOW_HEADER, "tsv": BELOW_HEADER, "jsonl": 1, "parquet": 1}

_EXPECTED = "expected CSV, TSV, JSON lines or Parquet"
_ROWS_AT_ONCE = 100_000
_WHOLE = 2**53  # up to here every whole number is a float


def table_kind(table: Path) -> str:
    """csv, tsv, jsonl or parquet, by the name's ending. Raises NotFound or BadTable."""
    if not table.exists():
        raise NotFound(f"table {table} does not exist.")
    if table.is_dir():
        raise BadTable(f"{table} is a directory, not a table; {_EXPECTED}.")
    endings = [ending.lower() for ending in table.suffixes if ending.lower() != ".gz"]
    kind = KINDS.get(endings[-1]) if endings else None
    if kind is None:
        raise BadTable(f"{table} is not a table that prodrec reads; {_EXPECTED} (.csv .tsv .jsonl .parquet).")
    if kind != "parquet":
        _refuse_binary(table, kind)
    return kind


def _refuse_binary(table: Path, kind: str) -> None:
    try:
        with open_bytes(table) as stream:
            start = stream.read(1 << 16)
    except (OSError, EOFError) as error:
        raise BadTable(f"{table} cannot be read: {error}.") from error
    if not start.strip():
        raise BadTable(
            f"{table} is empty; expected a {kind.upper()} table with {'a header and ' * (kind != 'jsonl')}rows."
        )
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadTable(f"{table} is UTF-16 text; save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`).")
    if b"\0" in start:
        raise BadTable(f"{table} is not a text table (it holds binary data); {_EXPECTED}.")


def column_names(table: Path) -> list[str]:
    """The columns of a table, in order. Raises NotFound or BadTable."""
    import polars as pl

    kind = table_kind(table)
    try:
        if kind in ("csv", "tsv"):
            return header_of(table, kind)
        return [name for name in _scan(table, kind).collect_schema().names() if name != ROW]
    except pl.exceptions.PolarsError as error:
        raise _unreadable(table, kind, error) from error


def each_part(table: Path, wanted: Sequence[str], take: Callable[[pl.LazyFrame], T]) -> list[T]:
    """What `take` makes of every part of the table, in order.

    A part has the columns `wanted` as text (null or `""` where empty), and `__row`, the row number as counted above.
    A table is one part, read by `take` as it streams, or many small ones where Python's reader must go through it: then
    what `take` made of the one part, as far as it came, is forgotten. Raises BadTable naming the row where a text table
    is not UTF-8 or a row has more or fewer fields than the header.
    """
    import polars as pl

    kind, columns = table_kind(table), list(dict.fromkeys(wanted))
    if kind in ("csv", "tsv"):
        return _parts_of_csv(table, kind, columns, take)
    try:
        return [take(_as_text(_scan(table, kind).select(ROW, *columns), table))]
    except pl.exceptions.PolarsError as error:
        raise _unreadable(table, kind, error) from error


def _scan(table: Path, kind: str) -> pl.LazyFrame:
    import polars as pl

    if kind == "parquet":
        return pl.scan_parquet(table, glob=False, row_index_name=ROW, row_index_offset=FIRST_ROW[kind])
    if kind == "jsonl":
        return pl.scan_ndjson(table, infer_schema_length=None, row_index_name=ROW, row_index_offset=FIRST_ROW[kind])
    return pl.scan_csv(
        table,
        separator=separator_of(table, kind),
        infer_schema=False,
        glob=False,
        row_index_name=ROW,
        row_index_offset=FIRST_ROW[kind],
    )


def _parts_of_csv(table: Path, kind: str, wanted: list[str], take: Callable[[pl.LazyFrame], T]) -> list[T]:
    import polars as pl

    header = header_of(table, kind)
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise BadTable(f"{table} has the column {twice[0]!r} twice; give each column a name of its own.")
    lazy = _scan(table, kind)
    try:
        taken = take(lazy.select(ROW, *wanted))
        # polars refuses a row that is too long only where all columns are read, and fills one that is too short.
        nulls = lazy.select(pl.all().null_count()).collect(engine="streaming")
        if nulls[:, -1].item() and not fields_are_even(table, kind, header):
            for _ in rows_below(table, kind, header):  # raises at a short row
                pass
    except pl.exceptions.PolarsError:
        return [take(part.lazy()) for part in _by_row(table, kind, header, wanted)]
    return [taken]


def _by_row(table: Path, kind: str, header: list[str], wanted: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The table in parts, at least one, by Python's reader."""
    import polars as pl

    places = {name: header.index(name) for name in wanted}
    schema = dict.fromkeys(places, pl.String)
    rows, number = rows_below(table, kind, header), FIRST_ROW[kind]
    while (chunk := list(itertools.islice(rows, _ROWS_AT_ONCE))) or number == FIRST_ROW[kind]:
        columns = {name: [row[i] or None if row else None for row in chunk] for name, i in places.items()}
        yield pl.DataFrame(columns, schema=schema).with_row_index(ROW, offset=number)
        number += len(chunk)
        if not chunk:
            return


def _as_text(lazy: pl.LazyFrame, table: Path) -> pl.LazyFrame:
    """Numbers without a needless `.0`; lists (a category path in JSON) joined by ` > `. Raises BadTable for objects."""
    import polars as pl

    kinds = {name: kind for name, kind in lazy.collect_schema().items() if name != ROW}
    floats = [name for name, kind in kinds.items() if kind.is_float()]
    whole = lazy.select(_is_whole(name) for name in floats).collect(engine="streaming") if floats else pl.DataFrame()

    def text(name: str, kind: pl.DataType) -> pl.Expr:
        inner = kind.inner if isinstance(kind, pl.List) else kind
        if isinstance(inner, pl.Struct | pl.List | pl.Binary | pl.Object):
            raise BadTable(f"{table}, column {name!r} holds {kind}; expected text, numbers or lists of them.")
        if isinstance(kind, pl.List):
            return pl.col(name).cast(pl.List(pl.String)).list.join(" > ", ignore_nulls=True)
        if name in floats:
            number = pl.col(name).fill_nan(None)
            return (number.cast(pl.Int64) if whole[name].item() else number).cast(pl.String)
        return pl.col(name).cast(pl.String)

    return lazy.with_columns(text(name, kind) for name, kind in kinds.items())


def _is_whole(name: str) -> pl.Expr:
    import polars as pl

    number = pl.col(name).fill_nan(None)
    return ((number == number.round()) & (number.abs() < _WHOLE)).all()


def _unreadable(table: Path, kind: str, error: Exception) -> BadTable:
    import json

    if kind == "jsonl":
        with open_bytes(table) as stream:
            for number, line in enumerate(text_lines(table, stream), start=1):
                try:
                    found = json.loads(line) if line.strip() else {}
                except json.JSONDecodeError as wrong:
                    return BadTable(f"{table}, line {number}: not JSON ({wrong.msg}); expected one object a line.")
                if not isinstance(found, dict):
                    return BadTable(f"{table}, line {number}: not a JSON object; expected one object a line.")
    names = {"jsonl": "JSON lines", "parquet": "Parquet"}
    return BadTable(f"{table} is not readable as {names[kind]}: {str(error).splitlines()[0].rstrip('.')}.")
