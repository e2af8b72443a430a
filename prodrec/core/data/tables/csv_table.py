"""CSV and TSV tables. Blocks of lines that contain nothing but plain fields are parsed by polars, which is faster.

Such a block has no quotes and no blank lines, and each of its lines has as many fields as the header. The rules of
`csv_records` then amount to splitting at separators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.csv_records import read_record
from prodrec.core.data.tables.records import add_problems, frame_of_rows, number_rows
from prodrec.core.data.tables.text_file import LineBlock, TextFile

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = ",;\t|"

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
        for name in columns:
            if self.header.count(name) > 1:
                raise BadTable(f"{self.path} has the column {name!r} twice; rename one of them.")
        positions = {name: self.header.index(name) for name in columns}
        row, unread, lone_quotes = self.first_row, LineBlock(1, b""), list[int]()
        self._note_lone_quotes(lone_quotes)
        for block, is_last in _with_is_last(self.file.blocks()):
            if block.first_line == 1:
                block = block.from_line(self.header_lines)
            block, unread = unread.join(block), LineBlock(1, b"")
            frame = _parse_plain(block, len(self.header), self.separator, positions)
            if frame is None:
                frame, unread = _parse(
                    block, len(self.header), self.separator, positions, lone_quotes, is_complete=is_last
                )
                self._note_lone_quotes(lone_quotes)  # now, since a caller may read no more than some rows
            if frame.height:
                yield number_rows(frame, row).lazy()
            row += frame.height

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
    """Read the header. Without a `separator`, the most frequent of `,` `;` tab `|` in the header is taken.

    Raise BadTable if the file has no line with text.
    """
    for block in file.blocks():
        lines = block.lines()
        start = next((i for i, line in enumerate(lines) if line.strip()), None)
        if start is not None:
            separator = separator or max(SEPARATORS, key=lines[start].count)
            record = read_record(lines, start, separator, None, is_complete=True)
            assert record is not None  # a complete record is never continued
            names = [name.strip() for name in record.fields]
            return CsvTable(file, names, separator, block.first_line - 1 + start + record.lines, start + 2)
    raise BadTable(f"{file.path} is empty; expected a table with a header and rows.")


def _with_is_last(blocks: Iterator[LineBlock]) -> Iterator[tuple[LineBlock, bool]]:
    """Yield every block, and whether it is the last one."""
    block = next(blocks, None)
    while block is not None:
        following = next(blocks, None)
        yield block, following is None
        block = following


def _parse_plain(block: LineBlock, width: int, separator: str, positions: Mapping[str, int]) -> pl.DataFrame | None:
    """Parse a block of plain fields; return None if it contains anything else.

    polars refuses a line with too many fields. If there are as many separators as complete lines have, no line has too
    few fields either.
    """
    import polars as pl

    data = block.data
    if block.undecodable or b'"' in data or width == 1 or data.startswith(b"\n") or b"\n\n" in data:
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if not data or data.count(separator.encode()) != lines * (width - 1):
        return None
    names = [str(i) for i in range(width)]
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            separator=separator,
            quote_char=None,
            schema=dict.fromkeys(names, pl.String),
        )
    except pl.exceptions.PolarsError:
        return None
    return frame.select(pl.col(str(position)).alias(name) for name, position in positions.items()).pipe(add_problems)


def _parse(
    block: LineBlock,
    width: int,
    separator: str,
    positions: Mapping[str, int],
    lone_quotes: list[int],
    *,
    is_complete: bool,
) -> tuple[pl.DataFrame, LineBlock]:
    """Parse a block record by record. Return the rows, and the lines of a record that continues beyond the block.

    The numbers of lines with an unclosed quote are appended to `lone_quotes`.
    """
    lines = block.lines()
    values: list[list[str | None]] = [[] for _ in positions]
    problems: dict[int, str] = {}
    places = list(positions.values())
    line = row = 0
    while line < len(lines):
        text = lines[line]
        if '"' not in text and text.count(separator) == width - 1 and width > 1:
            fields, taken, problem = text.split(separator), 1, None
        else:
            record = read_record(lines, line, separator, width, is_complete=is_complete)
            if record is None:
                break
            fields, taken, problem = record.fields, record.lines, record.problem
            if record.has_lone_quote:
                lone_quotes.append(block.first_line + line)
        if block.undecodable:
            problem = next((block.undecodable[i] for i in range(line, line + taken) if i in block.undecodable), problem)
        if problem is not None:
            problems[row] = f"line {block.first_line + line}: {problem}"
        for column, place in zip(values, places, strict=True):
            column.append(None if problem else fields[place])
        line += taken
        row += 1
    frame = frame_of_rows(dict(zip(positions, values, strict=True)), row, problems)
    return frame, block.from_line(line)
