"""The rule by which lines of a CSV or TSV file become records.

* A quoted field may contain separators, line ends and doubled quotes (RFC 4180).
* A quote inside a field is text: `5" heel`.
* A quote that opens a field and is not closed properly is text too. So is one that is closed some lines below if most
  of the lines in between are complete records by themselves: two lone quotes must not swallow the rows between them.
* If such a line has the right number of fields when a backslash before a quote makes it text, as MySQL writes it
  (`"5\\" heel, red"`), it is read so.
* If a line has another number of fields than the header, quotes inside quoted fields may be text (`"5" heel, red"`), or
  all quotes; whichever gives the right number.
* A record with more or fewer fields than the header is malformed. Empty fields beyond the header are dropped.
* A line without text is malformed: a blank row.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prodrec.core.base.wording import counted

MAX_RECORD_LINES = 5_000
"""A quote that is not closed within this many lines is text. Descriptions of products are shorter."""

MAX_HEADER_LINES = 10
"""A quote in the header that is not closed within this many lines is text; names of columns are short."""

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
    max_lines = MAX_HEADER_LINES if width is None else MAX_RECORD_LINES
    consumed = 0

    def rest() -> Iterator[str]:
        nonlocal consumed
        for i in range(start, min(start + max_lines, len(lines))):  # islice would walk to `start`
            consumed += 1
            yield lines[i] + "\n"

    try:
        fields = next(csv.reader(rest(), delimiter=separator, strict=True))
    except csv.Error:
        may_continue = start + consumed == len(lines) and consumed < max_lines
        if may_continue and not is_complete:
            return None
        return _with_lone_quote(line, separator, width)
    if consumed > 1 and _swallows_records(lines[start : start + consumed], fields, separator, width):
        return _with_lone_quote(line, separator, width)
    return _checked(fields, width, lines=consumed)


def _swallows_records(lines: Sequence[str], fields: list[str], separator: str, width: int | None) -> bool:
    """Return whether a quoted field over several lines contains complete records.

    In a record of the right width, most of its lines must look like records. One of another width is wrong anyway, so
    one such line is enough. In a table of one column every line looks like a record, which proves nothing.
    """
    if width is None or width == 1:
        return False
    complete = sum(
        line.count(separator) >= width - 1 and len(_closed_fields(line, separator)) == width for line in lines[1:]
    )
    if len(fields) != width:
        return complete > 0
    return complete * 2 > len(lines) - 1 and len(_closed_fields(lines[0], separator)) == width


def _with_lone_quote(line: str, separator: str, width: int | None) -> Record:
    """Return the record of a line in which a quote is not closed.

    If a backslash before the quotes inside does not give the right number of fields, only fields that are quoted
    properly are unquoted. If their number is wrong, quotes inside quoted fields are text, or all quotes are.
    """
    if '\\"' in line:
        escaped = [field.replace('\\"', '"') for field in _fields(line, _escaped_quotes(separator))]
        if len(escaped) == width:
            return Record(escaped)
    fields = _closed_fields(line, separator)
    if width is not None and len(fields) != width:
        for others in (_fields(line, _inner_quotes(separator)), line.split(separator)):
            if len(others) == width:
                fields = others
                break
    record = _checked(fields, width)
    return Record(record.fields, 1, record.problem, has_lone_quote=True)


def _closed_fields(line: str, separator: str) -> list[str]:
    """Return the fields of one line. A field that is not quoted properly is text up to the next separator."""
    return _fields(line, _closed_quotes(separator))


def _fields(line: str, pattern: re.Pattern[str]) -> list[str]:
    fields, position = list[str](), 0
    while True:
        match = pattern.match(line, position)
        assert match is not None  # a field may be empty
        quoted = match[1]
        fields.append(match[0] if quoted is None else quoted.replace('""', '"'))
        position = match.end() + 1
        if position > len(line):
            return fields


@functools.cache
def _closed_quotes(separator: str) -> re.Pattern[str]:
    """Return the pattern of a field that is quoted as in RFC 4180, with the text in group 1, or of plain text."""
    s = re.escape(separator)
    return re.compile(rf'"([^"]*+(?:""[^"]*+)*+)"(?={s}|\Z)|[^{s}]*+')


@functools.cache
def _escaped_quotes(separator: str) -> re.Pattern[str]:
    """Return the pattern of a field in quotes, in which a backslash precedes other quotes; or of text."""
    s = re.escape(separator)
    return re.compile(rf'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(?={s}|\Z)|[^{s}]*+')


@functools.cache
def _inner_quotes(separator: str) -> re.Pattern[str]:
    """Return the pattern of a field in quotes that may contain quotes, up to one before a separator; or of text."""
    s = re.escape(separator)
    return re.compile(rf'"([^"]*+(?:"(?!{s}|\Z)[^"]*+)*+)"(?={s}|\Z)|[^{s}]*+')


def _checked(fields: list[str], width: int | None, lines: int = 1) -> Record:
    """Return the record, with a problem if it is blank or has another number of fields than `width`."""
    if len(fields) <= 1 and not "".join(fields).strip():
        return Record(fields, lines, BLANK)
    if width is None or len(fields) == width:
        return Record(fields, lines)
    if len(fields) > width and not any(field.strip() for field in fields[width:]):
        return Record(fields[:width], lines)
    return Record(fields, lines, f"{counted(len(fields), 'field', 'fields')} where the header has {width}")
