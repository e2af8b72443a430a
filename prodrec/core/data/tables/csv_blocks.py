"""Parse blocks of CSV lines by the rule of `csv_records`, with polars where a line needs no more than splitting.

Two kinds of lines are parsed by polars, which is faster than Python:

* quoted: each quote opens or closes a whole field or is doubled inside one, and no quoted field continues on the next
  line. Lines without quotes belong here too.
* plain: no field begins with a quote, so that all quotes are text.

Both have as many fields as the header. All other lines are read record by record.

Shapes: B bytes of a block, L its lines, Q its quotes, S its separators.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.tables.csv_records import read_record
from prodrec.core.data.tables.records import frame_of_rows
from prodrec.core.data.tables.text_file import LineBlock

if TYPE_CHECKING:
    import polars as pl

_QUOTE, _NEWLINE = ord('"'), ord("\n")


@dataclass(frozen=True)
class CsvLayout:
    """How the rows of a table are read.

    separator: the character between two fields
    width:     the number of fields of a record
    positions: by column to read, the place of its field
    """

    separator: str
    width: int
    positions: Mapping[str, int]


@dataclass
class ParsedBlock:
    """The rows of a block, the lines of a record that continues beyond it, and the lines with an unclosed quote."""

    frame: pl.DataFrame
    unread: LineBlock
    lone_quotes: list[int] = field(default_factory=list)


def parse_block(block: LineBlock, layout: CsvLayout, *, is_complete: bool) -> ParsedBlock:
    """Parse a block.

    is_complete: whether the block is the last one of the file, so that no record continues beyond it
    """
    is_quoted_L, is_plain_L, ends_L = _find_simple_lines(block, layout)
    records = _read_records(block, layout, is_quoted_L | is_plain_L, is_complete=is_complete)
    rows_L = np.cumsum(records.is_first_L) - 1
    frames, rows = [records.frame], [rows_L[records.lines]]
    for is_kind_L, quote in ((is_quoted_L, '"'), (is_plain_L, None)):
        is_kind_L &= records.is_first_L
        if is_kind_L.any():
            data = block.data if is_kind_L.all() else _select(block.data, is_kind_L, ends_L)
            frames.append(_parse_with_polars(data, layout, quote, int(is_kind_L.sum())))
            rows.append(rows_L[is_kind_L])
    return ParsedBlock(_in_order(frames, rows), records.unread, records.lone_quotes)


def _find_simple_lines(
    block: LineBlock, layout: CsvLayout
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Return which lines are quoted and which are plain, without those that are both, and where each line ends."""
    bytes_B = np.frombuffer(block.data, np.uint8)
    ends_L = np.flatnonzero(bytes_B == _NEWLINE)
    if block.data and not block.data.endswith(b"\n"):
        ends_L = np.append(ends_L, len(bytes_B))
    starts_L = np.concatenate([[0], ends_L[:-1] + 1])[: len(ends_L)]
    separator = ord(layout.separator)
    separators_S = np.flatnonzero(bytes_B == separator)
    first_separator_L, last_separator_L = np.searchsorted(separators_S, [starts_L, ends_L])
    separator_count_L = last_separator_L - first_separator_L
    is_excluded_L = np.zeros(len(ends_L), np.bool_)
    is_excluded_L[list(block.undecodable)] = True
    if layout.width == 1:
        is_excluded_L[:] = True
    if codecs.BOM_UTF8 in block.data:  # polars drops it where it comes first
        marks = [match.start() for match in re.finditer(codecs.BOM_UTF8, block.data)]
        is_excluded_L[np.searchsorted(ends_L, marks)] = True
    quotes_Q = np.flatnonzero(bytes_B == _QUOTE)
    is_plain_L = (separator_count_L == layout.width - 1) & ~is_excluded_L
    if not len(quotes_Q):
        return is_plain_L, np.zeros_like(is_plain_L), ends_L
    first_quote_L, last_quote_L = np.searchsorted(quotes_Q, [starts_L, ends_L])
    quote_count_L = last_quote_L - first_quote_L
    line_Q = np.repeat(np.arange(len(ends_L)), quote_count_L)
    opens_Q = (np.arange(len(quotes_Q)) - first_quote_L[line_Q]) % 2 == 0
    before_Q = bytes_B[quotes_Q - 1]
    after_Q = bytes_B[np.minimum(quotes_Q + 1, len(bytes_B) - 1)]
    before_Q[quotes_Q == 0] = _NEWLINE
    after_Q[quotes_Q == len(bytes_B) - 1] = _NEWLINE
    is_at_start_Q = (before_Q == separator) | (before_Q == _NEWLINE)
    is_at_end_Q = (after_Q == separator) | (after_Q == _NEWLINE)
    is_wrong_Q = np.where(opens_Q, ~is_at_start_Q & (before_Q != _QUOTE), ~is_at_end_Q & (after_Q != _QUOTE))
    line_S = np.repeat(np.arange(len(ends_L)), separator_count_L)
    is_inside_S = (np.searchsorted(quotes_Q, separators_S) - first_quote_L[line_S]) % 2 == 1
    outside_count_L = separator_count_L - np.bincount(line_S[is_inside_S], minlength=len(ends_L))
    is_quoted_L = (quote_count_L % 2 == 0) & (outside_count_L == layout.width - 1) & ~is_excluded_L
    is_quoted_L[line_Q[is_wrong_Q]] = False
    is_plain_L[line_Q[is_at_start_Q]] = False
    return is_quoted_L, is_plain_L & ~is_quoted_L, ends_L


@dataclass
class _Records:
    """The records that Python reads.

    is_first_L: whether a record begins in the line, one of any kind
    lines:      the first line of every record that Python reads
    """

    is_first_L: NDArray[np.bool_]
    lines: list[int]
    frame: pl.DataFrame
    unread: LineBlock
    lone_quotes: list[int]


def _read_records(
    block: LineBlock, layout: CsvLayout, is_simple_L: NDArray[np.bool_], *, is_complete: bool
) -> _Records:
    """Read the records that begin in lines which are not simple."""
    others = np.flatnonzero(~is_simple_L).tolist()
    lines = block.lines() if others else []
    is_first_L = np.ones(len(is_simple_L), np.bool_)
    first_lines, lone_quotes = list[int](), list[int]()
    values: list[list[str | None]] = [[] for _ in layout.positions]
    problems: dict[int, str] = {}
    end = 0  # of the last record
    unread_from = len(is_first_L)
    for line in others:
        if line < end:
            continue
        record = read_record(lines, line, layout.separator, layout.width, is_complete=is_complete)
        if record is None:
            is_first_L[line:] = False
            unread_from = line
            break
        end = line + record.lines
        is_first_L[line + 1 : end] = False
        if record.has_lone_quote:
            lone_quotes.append(block.first_line + line)
        problem = _problem(block, line, end, record.problem)
        if problem is not None:
            problems[len(first_lines)] = problem
        first_lines.append(line)
        for column, place in zip(values, layout.positions.values(), strict=True):
            column.append(None if problem else record.fields[place])
    frame = frame_of_rows(dict(zip(layout.positions, values, strict=True)), len(first_lines), problems)
    return _Records(is_first_L, first_lines, frame, block.from_line(unread_from), lone_quotes)


def _problem(block: LineBlock, line: int, end: int, problem: str | None) -> str | None:
    """Return why the record in lines `line` to `end` is malformed, with the number of its line in the file."""
    if block.undecodable:
        for i in range(line, end):
            if i in block.undecodable:
                return f"line {block.first_line + i}: {block.undecodable[i]}"
    return None if problem is None else f"line {block.first_line + line}: {problem}"


def _parse_with_polars(data: bytes, layout: CsvLayout, quote: str | None, count: int) -> pl.DataFrame:
    """Parse `count` lines that are all quoted or, without a `quote` character, all plain."""
    import polars as pl

    frame = pl.read_csv(
        data,
        has_header=False,
        separator=layout.separator,
        quote_char=quote,
        schema=dict.fromkeys(map(str, range(layout.width)), pl.String),
    )
    assert frame.height == count
    return frame_of_rows({name: frame[str(place)] for name, place in layout.positions.items()}, count, {})


def _select(data: bytes, is_selected_L: NDArray[np.bool_], ends_L: NDArray[np.int64]) -> bytes:
    """Return the selected lines."""
    lengths_L = np.diff(ends_L, prepend=-1)
    return np.frombuffer(data, np.uint8)[np.repeat(is_selected_L, lengths_L)[: len(data)]].tobytes()


def _in_order(frames: Sequence[pl.DataFrame], rows: Sequence[NDArray[np.int64]]) -> pl.DataFrame:
    """Return the rows of all frames in the order of their numbers in the block."""
    import polars as pl

    filled = [frame for frame in frames if frame.height]
    if len(filled) < 2:
        return filled[0] if filled else frames[0]
    return pl.concat(filled)[np.argsort(np.concatenate(rows))]
