"""Read CSV and TSV row by row with Python's own reader: the header, and the tables that polars does not read correctly.

Python's reader accepts lone quotes (`5" heel`), which polars refuses, and reports the row and line of an error.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from prodrec.core.base.errors import BadTable

FIRST_CSV_ROW = 2
"""The number of the first product row. Rows are numbered as in a spreadsheet: the header is row 1."""

_CHUNK_BYTES = 16 << 20
"""Bytes in memory at a time while separators are counted."""


def open_decompressed(table: Path) -> IO[bytes]:
    """Open `table` for reading bytes; decompress it if its name ends in `.gz`."""
    return gzip.open(table) if table.suffix.lower() == ".gz" else table.open("rb")  # type: ignore[return-value]


def detect_separator(table: Path, file_format: str) -> str:
    """Return a tab for TSV; for CSV the most frequent of `,` `;` tab `|` in the header."""
    if file_format == "tsv":
        return "\t"
    with open_decompressed(table) as stream:
        header = stream.readline().decode("utf-8", "replace")
    return max(",;\t|", key=header.count)


def read_csv_header(table: Path, file_format: str) -> list[str]:
    """Return the column names. Raise BadTable if the first line is not readable."""
    with open_decompressed(table) as stream:
        try:
            return next(csv.reader(decode_lines(table, stream), delimiter=detect_separator(table, file_format)))
        except (csv.Error, StopIteration) as error:
            raise BadTable(
                f"{table} has no readable header in its first line; expected CSV, TSV, JSON lines or Parquet."
            ) from error


def read_csv_rows(table: Path, file_format: str, header: list[str]) -> Iterator[list[str]]:
    """Yield the rows below the header; an empty line yields an empty list.

    Raise BadTable with the number of the first row that is malformed or that has more or fewer fields than `header`.
    """
    with open_decompressed(table) as stream:
        reader = csv.reader(decode_lines(table, stream), delimiter=detect_separator(table, file_format))
        next(reader)
        number = FIRST_CSV_ROW
        try:
            for number, row in enumerate(reader, start=FIRST_CSV_ROW):
                if row and len(row) != len(header):
                    raise BadTable(
                        f"{table}, row {number} (line {reader.line_num}): {len(row)} fields where the header has "
                        f"{len(header)}; put quotes around values that contain the separator, or correct the row."
                    )
                yield row
        except csv.Error as error:
            raise BadTable(f"{table}, row {number + 1} (line {reader.line_num}): {error}; correct the row.") from error


def has_expected_separator_count(table: Path, file_format: str, header: list[str]) -> bool:
    """Return True if `table` has no quotes and as many separators as complete rows would have.

    If no row is too long, True proves that no row is too short. False proves nothing. Counting bytes is much faster
    than parsing them.
    """
    separator = detect_separator(table, file_format).encode()
    lines, separators, last_byte = 0, 0, b""
    with open_decompressed(table) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            if b'"' in chunk:
                return False
            lines, separators = lines + chunk.count(b"\n"), separators + chunk.count(separator)
            last_byte = chunk[-1:]
    return separators == (lines + (last_byte != b"\n")) * (len(header) - 1)


def decode_lines(table: Path, stream: IO[bytes]) -> Iterator[str]:
    """Yield the lines of `stream` as text. Raise BadTable with the number of the first line that is not UTF-8."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadTable(
                f"{table}, line {number}: byte 0x{line[error.start]:02x} is not UTF-8 text; save the table as UTF-8 "
                "(for example `iconv -f GB18030 -t UTF-8`)."
            ) from error
