"""Find the header of a CSV or TSV table: its line, and the separator of the fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATORS = ",;\t|"

SPACES = " "
"""The separator of tables whose fields contain no blanks and have one or several of them in between."""

SAMPLE_LINES = 20

_MAX_TITLES = 5

_NAMED_SEPARATOR = re.compile(f'"?sep=([{SEPARATORS}])"?', re.IGNORECASE)
_CELLS = re.compile(f"[{SEPARATORS}]")
_QUOTED = re.compile(r'"[^"]*"?')
_COMMENT = re.compile(r'"?#\s?(?:info|required|optional)\b', re.IGNORECASE)
_AMAZON_TEMPLATE = "TemplateType="
_CODE_NAMES = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class HeaderPosition:
    """Where the header of a table is.

    line:            its position in the lines
    separator:       the text between two fields
    above:           the number of lines above it that are neither blank nor name the separator
    names_separator: whether a line above it names the separator; spreadsheets do not show this line
    """

    line: int
    separator: str
    above: int = 0
    names_separator: bool = False


def find_header(lines: Sequence[str], separator: str | None) -> HeaderPosition | None:
    """Return the position of the header, or None if no line has text.

    A first line such as `sep=;`, which Excel writes, names the separator. Without it or if `separator` does not occur
    in the header, the most frequent of `,` `;` tab `|` is taken.

    Lines above the header are skipped: those of `rows_above`, and the number of rows with which the lists of research
    datasets begin.
    """
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if not filled:
        return None
    named = _NAMED_SEPARATOR.fullmatch(lines[filled[0]].strip(" "))
    if named:
        filled = filled[1:]
        if not filled:
            return None
    first = [lines[i] for i in filled[: SAMPLE_LINES + 1]]
    above = int(len(first) > 1 and _is_count(*first[:2])) or rows_above([_CELLS.split(line) for line in first])
    start = filled[above]
    if named:
        separator = named[1]
    elif separator is None or separator not in lines[start]:
        separator = _detect_separator([lines[i] for i in filled[above : above + SAMPLE_LINES]])
    return HeaderPosition(start, separator, above, names_separator=named is not None)


def rows_above(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of rows above the header, from the cells of the first rows that are not blank.

    They are comments, the first rows of Amazon's templates, or titles: a few rows with one cell, below which there are
    rows with several.
    """
    comments = next((i for i, row in enumerate(rows) if not _COMMENT.match(row[0])), 0)
    if comments:
        return comments
    if rows[0][0].lstrip('"').startswith(_AMAZON_TEMPLATE):
        names = [cell for cell in rows[2] if cell.strip()] if len(rows) > 2 else []
        return 2 if names and all(map(_CODE_NAMES.fullmatch, names)) else min(1, len(rows) - 1)
    widths = [sum(bool(cell.strip()) for cell in row) for row in rows]
    titles = next((i for i, width in enumerate(widths) if width > 1), 0)
    return titles if titles <= _MAX_TITLES and min(widths[titles : titles + 2]) > 1 else 0


def _is_count(line: str, header: str) -> bool:
    """Return whether a line is the number of rows, above a header with several names."""
    return line.strip().isdecimal() and len(re.split(rf"[{SEPARATORS}\s]+", header)) > 1


def _detect_separator(lines: Sequence[str]) -> str:
    """Return the separator that is most frequent outside quotes in the header, and of equals in the lines below.

    If there is none, and all lines have the same number of words, blanks separate them.
    """
    header, *rows = (_QUOTED.sub("", line) for line in lines)
    separator = max(
        SEPARATORS, key=lambda separator: (header.count(separator), sum(row.count(separator) for row in rows))
    )
    words = {len(line.split()) for line in (header, *rows)}
    is_spaced = separator not in header and rows and len(words) == 1 and words != {1}
    return SPACES if is_spaced else separator
