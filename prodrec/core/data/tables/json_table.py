"""JSON lines, and JSON files that contain an array of objects.

Values become text: a list or an object is JSON text; null, NaN and infinite numbers are missing; a whole number has no
`.0`. Of equal keys in an object the last one counts.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.json_records import find_records
from prodrec.core.data.tables.records import frame_of_rows, number_rows
from prodrec.core.data.tables.text_file import TextFile

if TYPE_CHECKING:
    import polars as pl

HEADER_BYTES = 64 << 20
"""The keys of the objects in this many bytes, at least, are the columns of a JSON lines table."""

PREVIEW_HEADER_BYTES = 16 << 20
"""The same for a preview."""

_LONE_SURROGATE = "half of a surrogate pair, which is not a character"
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = "nested too deeply"

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
            lines = block.lines()
            texts: list[list[str | None]] = []
            problems: dict[int, str] = {}
            for i, line in enumerate(lines):
                record, problem = _parse_line(line)
                row, problem = _row(record, columns, block.undecodable.get(i, problem))
                if problem:
                    problems[i] = f"line {block.first_line + i}: {problem}"
                texts.append(row)
            yield number_rows(_frame(texts, columns, problems), block.first_line).lazy()


@dataclass
class JsonArrayTable:
    """A JSON file with an array of objects, or with one object that contains such an array; see `records.Table`.

    The whole file is in memory. Row i is the i-th object.
    """

    path: Path
    records: list[Any]
    header: list[str]
    has_undecodable: bool = False
    notes: list[str] = field(default_factory=list)

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`."""
        for start in range(0, len(self.records), _CHUNK_ROWS):
            texts: list[list[str | None]] = []
            problems: dict[int, str] = {}
            for i, record in enumerate(self.records[start : start + _CHUNK_ROWS]):
                row, problem = _row(record, columns, _problem(record, has_undecodable=self.has_undecodable))
                if problem:
                    problems[i] = f"element {start + i + 1}: {problem}"
                texts.append(row)
            yield number_rows(_frame(texts, columns, problems), start + 1).lazy()


def open_json_lines(file: TextFile, header_bytes: int = HEADER_BYTES) -> JsonLinesTable | JsonArrayTable:
    """Read the column names of a JSON lines table from its first bytes; a JSON array is recognised too.

    Raise BadTable if no line is an object.
    """
    block = next(file.blocks())
    if block.data.lstrip().startswith(b"["):
        try:
            return open_json_array(file)
        except BadTable:
            return _open_lines(file, header_bytes)
    return _open_lines(file, header_bytes)


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


def open_json_array(file: TextFile) -> JsonArrayTable | JsonLinesTable:
    """Read a JSON array of objects; JSON lines are recognised too. Raise BadTable for other content."""
    blocks = list(file.blocks())
    text = b"".join(block.data for block in blocks)
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise BadTable(f"{file.path} is {_TOO_DEEP}; expected an array of objects.") from error
    except ValueError as error:
        if text.lstrip().startswith(b"{"):  # one object per line, the first of which may be malformed
            try:
                return _open_lines(file)
            except BadTable:
                pass
        raise BadTable(
            f"{file.path} is not JSON ({error}); expected an array of objects, or one object per line."
        ) from error
    records = find_records(content, file.path)
    if not any(isinstance(record, dict) for record in records):
        raise BadTable(f"{file.path} contains no array of objects; expected one object for each product.")
    names = dict.fromkeys(
        name for record in records if isinstance(record, dict) and not _has_lone_surrogate(record) for name in record
    )
    return JsonArrayTable(file.path, records, list(names), any(block.undecodable for block in blocks))


def _frame(texts: Sequence[Sequence[str | None]], columns: Sequence[str], problems: dict[int, str]) -> pl.DataFrame:
    """Return a chunk from the texts of its rows."""
    values = dict(zip(columns, zip(*texts, strict=True), strict=True)) if texts else dict.fromkeys(columns, ())
    return frame_of_rows(values, len(texts), problems)


def _row(record: Any, columns: Sequence[str], problem: str | None) -> tuple[list[str | None], str | None]:
    """Return the texts of a record, which are None if there is a problem, and the problem."""
    if problem is None:
        try:
            values = [record.get(name) for name in columns]
            return [value if type(value) is str else as_text(value) for value in values], None
        except RecursionError:
            problem = _TOO_DEEP
    return [None] * len(columns), problem


def _problem(record: Any, *, has_undecodable: bool) -> str | None:
    """Return why an element of an array is malformed."""
    if not isinstance(record, dict):
        return "not a JSON object"
    if _has_lone_surrogate(record):
        return _LONE_SURROGATE
    if has_undecodable and "\ufffd" in _ENCODER.encode(_finite(record)):
        return "bytes that are not text in the encoding of the file"
    return None


def _has_lone_surrogate(value: Any) -> bool:
    """Return whether a text or a key in `value` cannot be written in UTF-8."""
    if isinstance(value, str):
        return not value.isascii() and re.search("[\ud800-\udfff]", value) is not None
    if isinstance(value, dict):
        return any(_has_lone_surrogate(key) or _has_lone_surrogate(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_lone_surrogate, value))


def _parse_line(line: str) -> tuple[dict[str, Any], str | None]:
    """Return the object of a line, or an empty one and why the line is malformed."""
    if not line.strip():
        return {}, BLANK
    try:
        record = _parse_python(line) or _decode(line)
    except ValueError as error:
        return {}, f"not JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})"
    except RecursionError:
        return {}, f"not JSON ({_TOO_DEEP})"
    if not isinstance(record, dict):
        return {}, "not a JSON object"
    if "\\u" in line and _SURROGATE_ESCAPE.search(line) and _has_lone_surrogate(record):
        return {}, _LONE_SURROGATE
    return record, None


def _parse_python(line: str) -> Any:
    """Return the dict that Python prints, as in the Amazon reviews of 2014; None if the line is no such text."""
    if not line.startswith("{'"):
        return None
    try:
        return ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def as_text(value: Any) -> str | None:
    """Return a value of JSON as text; null, NaN and infinite numbers are None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT_FLOATS else str(value)
    if isinstance(value, int):
        return str(value)
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_finite(value))


_decode = json.JSONDecoder().decode  # json.loads looks at its options and at byte order marks each time
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    """Return a list or an object with null in place of NaN and infinite numbers, which are not JSON."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
