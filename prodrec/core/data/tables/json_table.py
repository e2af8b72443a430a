"""JSON lines, and JSON files that contain an array of objects.

Values become text: a list or an object is JSON text, NaN and null are missing, and a whole number has no `.0`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.records import frame_of_rows, number_rows
from prodrec.core.data.tables.text_file import TextFile

if TYPE_CHECKING:
    import polars as pl

HEADER_BYTES = 64 << 20
"""The keys of the objects in this many bytes, at least, are the columns of a JSON lines table."""

PREVIEW_HEADER_BYTES = 16 << 20
"""The same for a preview."""

_CHUNK_ROWS = 50_000
_EXACT_FLOATS = 2**53
"""Every whole number below this is exact as a 64-bit float."""


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
            values: dict[str, list[str | None]] = {name: [] for name in columns}
            problems: dict[int, str] = {}
            lines = block.lines()
            for i, line in enumerate(lines):
                record, problem = _parse_line(line)
                problem = block.undecodable.get(i, problem)
                if problem:
                    problems[i] = f"line {block.first_line + i}: {problem}"
                for name, column in values.items():
                    column.append(None if problem else as_text(record.get(name)))
            yield number_rows(frame_of_rows(values, len(lines), problems), block.first_line).lazy()


@dataclass
class JsonArrayTable:
    """A JSON file with an array of objects, or with one object that contains such an array; see `records.Table`.

    The whole file is in memory. Row i is the i-th object.
    """

    path: Path
    records: list[Any]
    header: list[str]
    notes: list[str] = field(default_factory=list)

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`."""
        for start in range(0, len(self.records), _CHUNK_ROWS):
            records = self.records[start : start + _CHUNK_ROWS]
            problems = {
                i: f"element {start + i + 1}: not a JSON object"
                for i, record in enumerate(records)
                if not isinstance(record, dict)
            }
            objects = [record if isinstance(record, dict) else {} for record in records]
            values = {name: [as_text(record.get(name)) for record in objects] for name in columns}
            yield number_rows(frame_of_rows(values, len(records), problems), start + 1).lazy()


def open_json_lines(file: TextFile, header_bytes: int = HEADER_BYTES) -> JsonLinesTable:
    """Read the column names of a JSON lines table from its first bytes. Raise BadTable if no line is an object."""
    names: dict[str, None] = {}
    read, first_problem = 0, ""
    for block in file.blocks():
        for i, line in enumerate(block.lines()):
            record, problem = _parse_line(line)
            names |= dict.fromkeys(record)
            if problem and not first_problem:
                first_problem = f"line {block.first_line + i}: {problem}"
        read += len(block.data)
        if read >= header_bytes and names:
            break
    if not names:
        raise BadTable(f"{file.path}, {first_problem or 'no line'}; expected JSON lines: one object per line.")
    return JsonLinesTable(file, list(names))


def open_json_array(file: TextFile) -> JsonArrayTable | JsonLinesTable:
    """Read a JSON array of objects; JSON lines are recognised too. Raise BadTable for other content."""
    text = b"".join(block.data for block in file.blocks())
    try:
        content = json.loads(text)
    except ValueError as error:
        if "Extra data" in str(error):  # a second value: one object per line
            return open_json_lines(file)
        raise BadTable(
            f"{file.path} is not JSON ({error}); expected an array of objects, or one object per line."
        ) from error
    if isinstance(content, dict):
        arrays = [
            value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        content = arrays[0] if len(arrays) == 1 else [content]
    if not isinstance(content, list) or not any(isinstance(record, dict) for record in content):
        raise BadTable(f"{file.path} contains no array of objects; expected one object for each product.")
    names = dict.fromkeys(name for record in content if isinstance(record, dict) for name in record)
    return JsonArrayTable(file.path, content, list(names))


def _parse_line(line: str) -> tuple[dict[str, Any], str | None]:
    """Return the object of a line, or an empty one and why the line is malformed."""
    if not line.strip():
        return {}, BLANK
    try:
        record = json.loads(line)
    except ValueError as error:
        return {}, f"not JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})"
    except RecursionError:
        return {}, "not JSON (nested too deeply)"
    return (record, None) if isinstance(record, dict) else ({}, "not a JSON object")


def as_text(value: Any) -> str | None:
    """Return a value of JSON as text; null and NaN are None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT_FLOATS else str(value)
    if isinstance(value, int):
        return str(value)
    return json.dumps(_without_nan(value), ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    """Return a list or an object with null in place of NaN, which is not JSON."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
