"""A comparison for a terminal, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

from prodrec.eval.compare.contents import TextTable, accuracy_table, settings_table, verdict_lines

if TYPE_CHECKING:
    from prodrec.eval.compare.comparison import Comparison


def terminal_parts(comparison: Comparison) -> Iterator[Any]:
    """Yield what is printed: tables, and texts between them."""
    yield from table_parts(accuracy_table(comparison))
    for heading, lines in verdict_lines(comparison):
        yield heading
        width = max(len(name) for name, _ in lines)
        yield "\n".join(f"  {name:{width}}  {text}" for name, text in lines)
        yield ""
    settings = settings_table(comparison)
    for table in ([settings] if settings else []) + list(comparison.tables):
        yield from table_parts(table)


def table_parts(table: TextTable) -> Iterator[Any]:
    """Yield the title of a table, the table for rich, and its notes."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    yield table.title
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for i, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="right" if i >= table.numbers else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    yield drawn
    yield from table.notes


def render_text(comparison: Comparison, *, width: int) -> str:
    """Return the comparison and its notes as plain text."""
    return plain_text(terminal_parts(comparison), comparison.notes, width=width)


def plain_text(parts: Iterable[Any], notes: Iterable[str], *, width: int) -> str:
    """Return `parts` as a terminal of `width` characters would show them without colours, and the notes below."""
    from rich.console import Console

    stream = StringIO()
    console = Console(file=stream, width=width, color_system=None, highlight=False)
    for part in parts:
        console.print(part, markup=False)
    text = "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
    return "\n".join([text.strip("\n"), "", *notes])
