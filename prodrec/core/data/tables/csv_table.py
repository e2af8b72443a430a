"""CSV and TSV tables: the header, and the rows by the rule of `csv_records`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.csv_blocks import CsvLayout, parse_block
from prodrec.core.data.tables.csv_records import read_record
from prodrec.core.data.tables.records import number_rows, refuse_repeated_columns
from prodrec.core.data.tables.text_file import LineBlock, TextFile

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = ",;\t|"

_LINES_IN_NOTE = 3
_SAMPLE_LINES = 20
_NAMED_SEPARATOR = re.compile(f"sep=([{SEPARATORS}])", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')


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
            noun = "line" if len(lines) == 1 else "lines"
            self._lone_quote_note = (
                f"{self.path}: a quote is not closed in {len(lines):,} {noun} ({examples}); it is read as text"
            )
            self.notes.append(self._lone_quote_note)


def open_csv(file: TextFile, separator: str | None) -> CsvTable:
    """Read the header. A first line such as `sep=;`, which Excel writes, names the separator.

    Without it or if `separator` does not occur in the header, the most frequent of `,` `;` tab `|` is taken.

    Raise BadTable if the file has no line with text.
    """
    beginning = LineBlock(1, b"")
    for block, is_last in _with_is_last(file.blocks()):
        beginning = beginning.join(block)
        lines = beginning.lines()
        filled = (i for i, line in enumerate(lines) if line.strip())
        start = next(filled, None)
        named = None if start is None else _NAMED_SEPARATOR.fullmatch(lines[start].strip(" "))
        if named:
            start = next(filled, None)
        if start is None or (start + _SAMPLE_LINES > len(lines) and not is_last):
            continue
        if named:
            separator = named[1]
        elif separator is None or separator not in lines[start]:
            separator = _detect_separator(lines[start : start + _SAMPLE_LINES])
        record = read_record(lines, start, separator, None, is_complete=True)
        assert record is not None  # a complete record is never continued
        names = [name.strip() for name in record.fields]
        return CsvTable(file, names, separator, start + record.lines, start + 2 - bool(named))
    raise BadTable(f"{file.path} is empty; expected a table with a header and rows.")


def _detect_separator(lines: Sequence[str]) -> str:
    """Return the separator that is most frequent outside quotes in the header, and of equals in the lines below."""
    header, *rows = (_QUOTED.sub("", line) for line in lines)
    return max(SEPARATORS, key=lambda separator: (header.count(separator), sum(row.count(separator) for row in rows)))


def _with_is_last(blocks: Iterator[LineBlock]) -> Iterator[tuple[LineBlock, bool]]:
    """Yield every block, and whether it is the last one."""
    block = next(blocks, None)
    while block is not None:
        following = next(blocks, None)
        yield block, following is None
        block = following
