"""CSV and TSV tables: the header, and the rows by the rule of `csv_records`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.base.wording import counted
from prodrec.core.data.tables.csv_blocks import CsvLayout, parse_block
from prodrec.core.data.tables.csv_header import SAMPLE_LINES, SPACES, find_header
from prodrec.core.data.tables.csv_records import read_record
from prodrec.core.data.tables.records import number_rows, refuse_repeated_columns
from prodrec.core.data.tables.text_file import LineBlock, TextFile

if TYPE_CHECKING:
    import polars as pl

_LINES_IN_NOTE = 3


@dataclass
class CsvTable:
    """An open CSV or TSV table; see `records.Table`.

    header_lines: the number of lines up to the end of the header
    first_row:    the number of the first row below the header; it is 2 if no blank line precedes the header
    """

    file: TextFile
    header: list[str]
    separator: str
    header_lines: int
    first_row: int
    notes: list[str] = field(default_factory=list)
    _lone_quote_note: str = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`. Raise BadTable if one of `columns` occurs twice in the header."""
        refuse_repeated_columns(self.path, self.header, columns)
        layout = CsvLayout(self.separator, len(self.header), {name: self.header.index(name) for name in columns})
        row, unread, lone_quotes = self.first_row, LineBlock(1, b""), list[int]()
        self._note_lone_quotes(lone_quotes)
        for block, is_last in _with_is_last(self.file.blocks()):
            rows = block.from_line(max(0, self.header_lines + 1 - block.first_line))
            if self.separator == SPACES:
                rows = _without_runs(rows)
            parsed = parse_block(unread.join(rows), layout, is_complete=is_last)
            unread = parsed.unread
            lone_quotes += parsed.lone_quotes
            self._note_lone_quotes(lone_quotes)  # now, since a caller may read no more than some rows
            if parsed.frame.height or (is_last and row == self.first_row):
                yield number_rows(parsed.frame, row).lazy()
            row += parsed.frame.height

    def _note_lone_quotes(self, lines: Sequence[int]) -> None:
        """Replace the note on the lines in which a quote is not closed."""
        if self._lone_quote_note in self.notes:
            self.notes.remove(self._lone_quote_note)
        if lines:
            examples = ", ".join(map(str, lines[:_LINES_IN_NOTE])) + (" …" if len(lines) > _LINES_IN_NOTE else "")
            count = counted(len(lines), "line", "lines")
            self._lone_quote_note = f"{self.path}: a quote is not closed in {count} ({examples}); it is read as text"
            self.notes.append(self._lone_quote_note)


def open_csv(file: TextFile, separator: str | None) -> CsvTable:
    """Read the header; see `csv_header.find_header`. Raise BadTable if the file has no line with text."""
    beginning = LineBlock(1, b"")
    for block, is_last in _with_is_last(file.blocks()):
        beginning = beginning.join(block)
        lines = beginning.lines()
        found = find_header(lines, separator)
        if found is None or (found.line + SAMPLE_LINES > len(lines) and not is_last):
            continue
        if found.separator == SPACES:
            lines = _without_runs(beginning).lines()
        record = read_record(lines, found.line, found.separator, None, is_complete=True)
        assert record is not None  # a complete record is never continued
        names = [name.strip() for name in record.fields]
        names = _without_last_blanks(names, lines, found.line + record.lines, found.separator)
        first_row = found.line + 2 - found.names_separator
        table = CsvTable(file, names, found.separator, found.line + record.lines, first_row)
        if found.above:
            above = counted(found.above, "line above it is skipped", "lines above it are skipped")
            table.notes.append(f"{file.path}: the header is line {found.line + 1}; {above}")
        return table
    raise BadTable(f"{file.path} is empty; expected a table with a header and rows.")


def _without_last_blanks(names: list[str], lines: Sequence[str], below: int, separator: str) -> list[str]:
    """Return the column names without blank ones at the end, for which no row among the first ones has a field.

    below: the position of the line below the header
    """
    width = max((i for i, name in enumerate(names, 1) if name), default=0)
    end = min(below + SAMPLE_LINES, len(lines))
    while below < end and width < len(names):
        record = read_record(lines, below, separator, None, is_complete=True)
        assert record is not None  # a complete record is never continued
        width = max(width, len(record.fields))
        below += record.lines
    return names[:width]


def _without_runs(block: LineBlock) -> LineBlock:
    """Return a block with one blank in place of several, and none at the ends of lines."""
    data = re.sub(rb"[ \t]+", b" ", block.data)
    return LineBlock(block.first_line, re.sub(rb"(?m)^ | $", b"", data), block.undecodable)


def _with_is_last(blocks: Iterator[LineBlock]) -> Iterator[tuple[LineBlock, bool]]:
    """Yield every block, and whether it is the last one."""
    block = next(blocks, None)
    while block is not None:
        following = next(blocks, None)
        yield block, following is None
        block = following
