"""JSON files that contain an array of objects, or the same in another arrangement. The whole file is in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.json_records import find_records
from prodrec.core.data.tables.json_values import (
    ENCODER,
    LONE_SURROGATE,
    TOO_DEEP,
    finite,
    frame_of_texts,
    has_lone_surrogate,
    row_of_texts,
)
from prodrec.core.data.tables.records import number_rows
from prodrec.core.data.tables.text_file import TextFile

if TYPE_CHECKING:
    import polars as pl

_CHUNK_ROWS = 50_000


@dataclass
class JsonArrayTable:
    """A JSON file with an array of objects; see `records.Table`. Row i is the i-th object."""

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
                row, problem = row_of_texts(record, columns, _problem(record, has_undecodable=self.has_undecodable))
                if problem:
                    problems[i] = f"element {start + i + 1}: {problem}"
                texts.append(row)
            yield number_rows(frame_of_texts(texts, columns, problems), start + 1).lazy()


def read_json_array(file: TextFile) -> JsonArrayTable:
    """Read the objects of a file; those that follow one another without an array too.

    Raise ValueError if the file is not JSON, and BadTable if it contains no objects.
    """
    blocks = list(file.blocks())
    text = b"".join(block.data for block in blocks).decode()
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise BadTable(f"{file.path} is {TOO_DEEP}; expected an array of objects.") from error
    except ValueError:
        content = _read_sequence(text)
        if content is None:
            raise
    records = find_records(content, file.path)
    if not any(isinstance(record, dict) for record in records):
        raise BadTable(f"{file.path} contains no array of objects; expected one object for each product.")
    names = dict.fromkeys(
        name for record in records if isinstance(record, dict) and not has_lone_surrogate(record) for name in record
    )
    return JsonArrayTable(file.path, records, list(names), any(block.undecodable for block in blocks))


def _read_sequence(text: str) -> list[Any] | None:
    """Return the values that follow one another in `text`, with or without commas; None if it contains anything else.

    Some programs write several objects over several lines each, or a comma before the end of an array.
    """
    decoder, values, position = json.JSONDecoder(), list[Any](), 0
    body = text.strip()
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1]
    while position < len(body):
        if body[position] in ", \t\n":
            position += 1
            continue
        try:
            value, position = decoder.raw_decode(body, position)
        except (ValueError, RecursionError):
            return None
        values.append(value)
    return values


def _problem(record: Any, *, has_undecodable: bool) -> str | None:
    """Return why an element of an array is malformed."""
    if not isinstance(record, dict):
        return "not a JSON object"
    if has_lone_surrogate(record):
        return LONE_SURROGATE
    if has_undecodable and "\ufffd" in ENCODER.encode(finite(record)):
        return "bytes that are not text in the encoding of the file"
    return None
