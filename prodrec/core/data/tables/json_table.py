"""JSON tables: one object per line, or one array of objects, see `json_array`.

Values become text by the rules of `json_values`. Of equal keys in an object the last one counts.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.json_array import JsonArrayTable, read_json_array
from prodrec.core.data.tables.json_values import (
    LONE_SURROGATE,
    TOO_DEEP,
    frame_of_texts,
    has_lone_surrogate,
    row_of_texts,
)
from prodrec.core.data.tables.records import number_rows
from prodrec.core.data.tables.text_file import TextFile

if TYPE_CHECKING:
    import polars as pl

HEADER_BYTES = 64 << 20
"""The keys of the objects in this many bytes, at least, are the columns of a JSON lines table."""

PREVIEW_HEADER_BYTES = 16 << 20
"""The same for a preview."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass
class JsonLinesTable:
    """An open JSON lines table: one object per line; see `records.Table`. Row i is line i."""

    file: TextFile
    header: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`."""
        for block in self.file.blocks():
            lines = block.lines()
            texts: list[list[str | None]] = []
            problems: dict[int, str] = {}
            for i, line in enumerate(lines):
                record, problem = _parse_line(line)
                row, problem = row_of_texts(record, columns, block.undecodable.get(i, problem))
                if problem:
                    problems[i] = f"line {block.first_line + i}: {problem}"
                texts.append(row)
            yield number_rows(frame_of_texts(texts, columns, problems), block.first_line).lazy()


def open_json(
    file: TextFile, *, is_lines: bool = False, header_bytes: int = HEADER_BYTES
) -> JsonLinesTable | JsonArrayTable:
    """Open JSON lines or a JSON array, whichever the file contains.

    is_lines:     whether the name of the file is that of JSON lines, so that a single line is a single product
    header_bytes: the first bytes of JSON lines, from which the column names are read

    Raise BadTable if it contains no object.
    """
    first, *others = [line for line in next(file.blocks()).lines() if line.strip()] or [""]
    if _parse_line(first)[1] is None and (is_lines or others):
        return _open_lines(file, header_bytes)
    try:
        return read_json_array(file)
    except ValueError as error:
        try:  # the first line may be malformed
            return _open_lines(file, header_bytes)
        except BadTable:
            if is_lines:
                raise
        raise BadTable(
            f"{file.path} is not JSON ({error}); expected an array of objects, or one object per line."
        ) from error


def _open_lines(file: TextFile, header_bytes: int = HEADER_BYTES) -> JsonLinesTable:
    """Read the column names of a JSON lines table. Raise BadTable if no line is an object."""
    names: dict[str, None] = {}
    read, first_problem = 0, ""
    for block in file.blocks():
        for i, line in enumerate(block.lines()):
            record, problem = _parse_line(line)
            names |= dict.fromkeys(record)
            if problem and problem != BLANK and not first_problem:
                first_problem = f"line {block.first_line + i}: {problem}"
        read += len(block.data)
        if read >= header_bytes and names:
            break
    if not names:
        raise BadTable(f"{file.path}, {first_problem or 'no line'}; expected JSON lines: one object per line.")
    return JsonLinesTable(file, list(names))


def _parse_line(line: str) -> tuple[dict[str, Any], str | None]:
    """Return the object of a line, or an empty one and why the line is malformed."""
    if not line.strip():
        return {}, BLANK
    try:
        record = _parse_python(line) or _decode(line)
    except ValueError as error:
        return {}, f"not JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})"
    except RecursionError:
        return {}, f"not JSON ({TOO_DEEP})"
    if not isinstance(record, dict):
        return {}, "not a JSON object"
    if "\\u" in line and _SURROGATE_ESCAPE.search(line) and has_lone_surrogate(record):
        return {}, LONE_SURROGATE
    return record, None


def _parse_python(line: str) -> Any:
    """Return the dict that Python prints, as in the Amazon reviews of 2014; None if the line is no such text."""
    if not line.lstrip().startswith("{'"):
        return None
    try:
        return ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


_decode = json.JSONDecoder().decode  # json.loads looks at its options and at byte order marks each time
