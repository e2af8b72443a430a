"""CSV and TSV by Python's own reader, row by row: the header, and tables that polars refuses, or reads too kindly.

It names the row that is wrong, and it reads lone quotes (`5" heel`).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from prodrec.core.base.errors import BadTable

FIRST_ROW = 2
"""The number of the first product, counted as a spreadsheet does: the header is row 1."""

_BYTES_AT_ONCE = 16 << 20


def open_bytes(table: Path) -> IO[bytes]:
    """The bytes of a table, unpacked."""
    return gzip.open(table) if table.suffix.lower() == ".gz" else table.open("rb")  # type: ignore[return-value]


def separator_of(table: Path, kind: str) -> str:
    """Tab in TSV; in CSV the one of `,` `;` tab `|` that the header has most of."""
    if kind == "tsv":
        return "\t"
    with open_bytes(table) as stream:
        header = stream.readline().decode("utf-8", "replace")
    return max(",;\t|", key=header.count)


def header_of(table: Path, kind: str) -> list[str]:
    """The names of the columns. Raises BadTable."""
    with open_bytes(table) as stream:
        try:
            return next(csv.reader(text_lines(table, stream), delimiter=separator_of(table, kind)))
        except (csv.Error, StopIteration) as error:
            raise BadTable(
                f"{table} has no readable header in its first line; expected CSV, TSV, JSON lines or Parquet."
            ) from error


def rows_below(table: Path, kind: str, header: list[str]) -> Iterator[list[str]]:
    """The rows below the header; an empty line is an empty list. Raises BadTable naming the first row that is wrong."""
    with open_bytes(table) as stream:
        reader = csv.reader(text_lines(table, stream), delimiter=separator_of(table, kind))
        next(reader)
        number = FIRST_ROW
        try:
            for number, row in enumerate(reader, start=FIRST_ROW):
                if row and len(row) != len(header):
                    raise BadTable(
                        f"{table}, row {number} (line {reader.line_num}): {len(row)} fields where the header has "
                        f"{len(header)}; put quotes around values that hold the separator, or mend the row."
                    )
                yield row
        except csv.Error as error:
            raise BadTable(f"{table}, row {number + 1} (line {reader.line_num}): {error}; mend the row.") from error


def fields_are_even(table: Path, kind: str, header: list[str]) -> bool:
    """Whether no quotes are in the way and there are as many separators as full rows have, told by counting alone.

    Of a table whose rows are none too long, all are full then. False says nothing.
    """
    mark, lines, marks, last = separator_of(table, kind).encode(), 0, 0, b""
    with open_bytes(table) as stream:
        while piece := stream.read(_BYTES_AT_ONCE):
            if b'"' in piece:
                return False
            lines, marks, last = lines + piece.count(b"\n"), marks + piece.count(mark), piece[-1:]
    return marks == (lines + (last != b"\n")) * (len(header) - 1)


def text_lines(table: Path, stream: IO[bytes]) -> Iterator[str]:
    """The lines of `stream`. Raises BadTable naming the line that is not UTF-8."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadTable(
                f"{table}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8 text; save the table as UTF-8 "
                "(for example `iconv -f GB18030 -t UTF-8`)."
            ) from error
