"""Reads products tables, CSV, TSV, JSON lines and Parquet: all values as text, with the row number to look up.

polars reads, streaming. Where it refuses a CSV file (a lone quote as in `5" heel`), Python's own reader goes through
it row by row and either reads it or names the row that is wrong.

How rows are counted: as a spreadsheet does. In CSV and TSV the header is row 1 and the first product row 2; JSON lines
count lines, Parquet counts from 1.
"""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from prodrec.core.errors import BadTable, NotFound

if TYPE_CHECKING:
    import polars as pl

ROW = "__row"
TEXT_KINDS = {".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
KINDS = {**TEXT_KINDS, ".parquet": "parquet", ".pq": "parquet"}
FIRST_ROW = {"csv": 2, "tsv": 2, "jsonl": 1, "parquet": 1}

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
        with _open_bytes(table) as stream:
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
            return _header(table, kind)
        return [name for name in _scan(table, kind).collect_schema().names() if name != ROW]
    except pl.exceptions.PolarsError as error:
        raise _unreadable(table, kind, error) from error


def read_columns(table: Path, wanted: Sequence[str]) -> pl.DataFrame:
    """The columns `wanted` as text (null or `""` where empty), and `__row`, the row number as counted above.

    Raises BadTable naming the row where a text table is not UTF-8 or a row has more or fewer fields than the header.
    """
    import polars as pl

    kind = table_kind(table)
    if kind in ("csv", "tsv"):
        header = _header(table, kind)
        twice = [name for name in wanted if header.count(name) > 1]
        if twice:
            raise BadTable(f"{table} has the column {twice[0]!r} twice; give each column a name of its own.")
        return _read_csv(table, kind, header, wanted)
    try:
        frame = _scan(table, kind).select(ROW, *dict.fromkeys(wanted)).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise _unreadable(table, kind, error) from error
    return frame.with_columns(_as_text(frame[name], table) for name in dict.fromkeys(wanted))


def _scan(table: Path, kind: str) -> pl.LazyFrame:
    import polars as pl

    if kind == "parquet":
        return pl.scan_parquet(table, glob=False, row_index_name=ROW, row_index_offset=FIRST_ROW[kind])
    if kind == "jsonl":
        return pl.scan_ndjson(table, infer_schema_length=None, row_index_name=ROW, row_index_offset=FIRST_ROW[kind])
    return pl.scan_csv(
        table,
        separator=_separator(table, kind),
        infer_schema=False,
        glob=False,
        row_index_name=ROW,
        row_index_offset=FIRST_ROW[kind],
    )


def _read_csv(table: Path, kind: str, header: list[str], wanted: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    try:
        # The last column too: a row that is too short shows as null there.
        frame = _scan(table, kind).select(ROW, *dict.fromkeys([*wanted, header[-1]])).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        return _read_csv_by_row(table, kind, header, wanted)
    if frame[header[-1]].null_count():
        for _ in _rows(table, kind, header):  # raises at a short row
            pass
    return frame.select(ROW, *dict.fromkeys(wanted))


def _read_csv_by_row(table: Path, kind: str, header: list[str], wanted: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    places = {name: header.index(name) for name in wanted}
    schema = dict.fromkeys(places, pl.String)
    chunks = [pl.DataFrame(schema=schema)]
    rows = _rows(table, kind, header)
    while chunk := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        columns = {name: [row[i] or None if row else None for row in chunk] for name, i in places.items()}
        chunks.append(pl.DataFrame(columns, schema=schema))
    return pl.concat(chunks).with_row_index(ROW, offset=FIRST_ROW[kind])


def _rows(table: Path, kind: str, header: list[str]) -> Iterator[list[str]]:
    """The rows below the header; an empty line is an empty list. Raises BadTable naming the first row that is wrong."""
    with _open_bytes(table) as stream:
        reader = csv.reader(_lines(table, stream), delimiter=_separator(table, kind))
        next(reader)
        number = FIRST_ROW[kind]
        try:
            for number, row in enumerate(reader, start=FIRST_ROW[kind]):
                if row and len(row) != len(header):
                    raise BadTable(
                        f"{table}, row {number} (line {reader.line_num}): {len(row)} fields where the header has "
                        f"{len(header)}; put quotes around values that hold the separator, or mend the row."
                    )
                yield row
        except csv.Error as error:
            raise BadTable(f"{table}, row {number + 1} (line {reader.line_num}): {error}; mend the row.") from error


def _lines(table: Path, stream: IO[bytes]) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadTable(
                f"{table}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8 text; save the table as UTF-8 "
                "(for example `iconv -f GB18030 -t UTF-8`)."
            ) from error


def _header(table: Path, kind: str) -> list[str]:
    with _open_bytes(table) as stream:
        try:
            header = next(csv.reader(_lines(table, stream), delimiter=_separator(table, kind)))
        except (csv.Error, StopIteration) as error:
            raise BadTable(f"{table} has no readable header in its first line; {_EXPECTED}.") from error
    return header


def _separator(table: Path, kind: str) -> str:
    """Tab in TSV; in CSV the one of `,` `;` tab `|` that the header has most of."""
    if kind == "tsv":
        return "\t"
    with _open_bytes(table) as stream:
        header = stream.readline().decode("utf-8", "replace")
    return max(",;\t|", key=header.count)


def _open_bytes(table: Path) -> IO[bytes]:
    return gzip.open(table) if table.suffix.lower() == ".gz" else table.open("rb")  # type: ignore[return-value]


def _as_text(values: pl.Series, table: Path) -> pl.Series:
    """Numbers without a needless `.0`; lists (a category path in JSON) joined by ` > `. Raises BadTable for objects."""
    import polars as pl

    kind = values.dtype
    inner = kind.inner if isinstance(kind, pl.List) else kind
    if isinstance(inner, pl.Struct | pl.List | pl.Binary | pl.Object):
        raise BadTable(f"{table}, column {values.name!r} holds {kind}; expected text, numbers or lists of them.")
    if isinstance(kind, pl.List):
        return values.cast(pl.List(pl.String)).list.join(" > ", ignore_nulls=True)
    if kind.is_float():
        values = values.fill_nan(None)
        numbers = values.drop_nulls()
        if ((numbers == numbers.round()) & (numbers.abs() < _WHOLE)).all():
            values = values.cast(pl.Int64)
    return values.cast(pl.String)


def _unreadable(table: Path, kind: str, error: Exception) -> BadTable:
    import json

    if kind == "jsonl":
        with _open_bytes(table) as stream:
            for number, line in enumerate(_lines(table, stream), start=1):
                try:
                    found = json.loads(line) if line.strip() else {}
                except json.JSONDecodeError as wrong:
                    return BadTable(f"{table}, line {number}: not JSON ({wrong.msg}); expected one object a line.")
                if not isinstance(found, dict):
                    return BadTable(f"{table}, line {number}: not a JSON object; expected one object a line.")
    names = {"jsonl": "JSON lines", "parquet": "Parquet"}
    return BadTable(f"{table} is not readable as {names[kind]}: {str(error).splitlines()[0].rstrip('.')}.")
