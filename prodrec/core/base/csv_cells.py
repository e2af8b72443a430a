"""CSV files that people open in a spreadsheet: a text from a catalogue must not run there as a formula.

A spreadsheet computes a cell that begins with = + - or @, and such a formula can send the other cells to a stranger. An
apostrophe before it makes it a text (OWASP, "CSV injection"). Numbers with a sign are left as they are.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?[0-9][0-9.,]*$"


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet computes: the text itself, or with an apostrophe before it."""
    return f"'{cell}" if re.search(FORMULA, cell) and not re.search(NUMBER, cell) else cell


def typed(text: pl.Expr) -> pl.Expr:
    """Return cells without the apostrophes of `harmless`, as they were typed."""
    return text.str.replace(f"^'({FORMULA.removeprefix('^')})", "${1}")


def write_csv(frame: pl.DataFrame, file: IO[bytes] | Path, *, include_header: bool = True) -> None:
    """Write a table whose texts no spreadsheet computes."""
    import polars as pl

    def cells(text: pl.Expr) -> pl.Expr:
        is_formula = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
        return pl.when(is_formula).then(pl.lit("'") + text).otherwise(text)

    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    frame.with_columns(cells(pl.col(name)).alias(name) for name in texts).write_csv(file, include_header=include_header)
