"""The rule by which lines of a CSV or TSV file become records.

* A quoted field may contain separators, line ends and doubled quotes (RFC 4180).
* A quote inside a field is text: `5" heel`.
* A quote that opens a field and is not closed properly is text too. So is one that is closed some lines below if the
  lines in between are complete records by themselves: two lone quotes must not swallow the rows between them.
* A record with more or fewer fields than the header is malformed. Empty fields beyond the header are dropped.
* A line without text is malformed: a blank row.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_RECORD_LINES = 5_000
"""A quote that is not closed within this many lines is text. Descriptions of products are shorter."""

BLANK = "blank"
"""The problem of a line without text."""

csv.field_size_limit(2**31 - 1)  # a setting of the process; the default, 128 KiB, is less than a long description


@dataclass(frozen=True)
class Record:
    """The fields of a record, the number of lines that it takes, and why it is malformed."""

    fields: list[str]
    lines: int = 1
    problem: str | None = None
    has_lone_quote: bool = False


def read_record(
    lines: Sequence[str], start: int, separator: str, width: int | None, *, is_complete: bool
) -> Record | None:
    """Return the record that begins at line `start`; None if it continues beyond `lines`.

    width:       the number of fields that a record must have; None for the header
    is_complete: whether `lines` are the last ones of the file
    """
    line = lines[start]
    if '"' not in line:
        return _checked(line.split(separator), width)
    consumed = 0

    def rest() -> Iterator[str]:
        nonlocal consumed
        for following in itertools.islice(lines, start, start + MAX_RECORD_LINES):
            consumed += 1
            yield following + "\n"

    try:
        fields = next(csv.reader(rest(), delimiter=separator, strict=True))
    except csv.Error:
        may_continue = start + consumed == len(lines) and consumed < MAX_RECORD_LINES
        if may_continue and not is_complete:
            return None
        return _with_lone_quote(line, separator, width)
    if (
        consumed > 1
        and width is not None
        and _swallows_records(lines[start : start + consumed], fields, separator, width)
    ):
        return _with_lone_quote(line, separator, width)
    return _checked(fields, width, lines=consumed)


def _swallows_records(lines: Sequence[str], fields: list[str], separator: str, width: int) -> bool:
    """Return whether a quoted field over several lines contains complete records.

    In a record of the right width, all its lines must look like records. One of another width is wrong anyway, so one
    such line is enough.
    """
    looks_complete = [len(_lenient(line, separator)) == width for line in lines[1:]]
    if len(fields) != width:
        return any(looks_complete)
    return len(lines[0].split(separator)) == width and all(looks_complete)


def _with_lone_quote(line: str, separator: str, width: int | None) -> Record:
    """Return the record of a line in which a quote is not closed: its closed parts are quoted, or it is plain text."""
    fields = _lenient(line, separator)
    if width is not None and len(fields) != width:
        plain = line.split(separator)
        fields = plain if len(plain) == width else fields
    record = _checked(fields, width)
    return Record(record.fields, 1, record.problem, has_lone_quote=True)


def _lenient(line: str, separator: str) -> list[str]:
    """Return the fields of one line; a quote that is not closed is closed by the end of the line."""
    return next(csv.reader([line], delimiter=separator))


def _checked(fields: list[str], width: int | None, lines: int = 1) -> Record:
    """Return the record, with a problem if it is blank or has another number of fields than `width`."""
    if len(fields) <= 1 and not "".join(fields).strip():
        return Record(fields, lines, BLANK)
    if width is None or len(fields) == width:
        return Record(fields, lines)
    if len(fields) > width and not any(fields[width:]):
        return Record(fields[:width], lines)
    return Record(fields, lines, f"{len(fields)} fields where the header has {width}")
