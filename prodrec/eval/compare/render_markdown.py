"""A comparison as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from prodrec.eval.compare.contents import TextTable, accuracy_table, settings_table, verdict_lines
from prodrec.eval.report.render_markdown import escape_markdown

if TYPE_CHECKING:
    from prodrec.eval.compare.comparison import Comparison


def write_markdown(comparison: Comparison, file: TextIO) -> None:
    """Write accuracies, verdicts, differing settings, and the tables in the shape of the papers."""
    lines = [*_table_lines(accuracy_table(comparison))]
    for heading, verdicts in verdict_lines(comparison):
        lines += [f"**{escape_markdown(heading)}**", ""]
        lines += [f"* {escape_markdown(name)}: {escape_markdown(text)}" for name, text in verdicts]
        lines.append("")
    settings = settings_table(comparison)
    for table in ([settings] if settings else []) + list(comparison.tables):
        lines += _table_lines(table)
    lines += [f"* {escape_markdown(note)}" for note in comparison.notes]
    file.write("\n".join(lines).rstrip() + "\n")


def _table_lines(table: TextTable) -> Iterator[str]:
    yield from (f"{escape_markdown(table.title)}.", "")
    yield "| " + " | ".join(map(escape_markdown, table.header)) + " |"
    yield "| " + " | ".join("---:" if i >= table.numbers else "---" for i in range(len(table.header))) + " |"
    for row in table.rows:
        yield "| " + " | ".join(map(escape_markdown, row)) + " |"
    yield ""
    if table.notes:
        yield from (*map(escape_markdown, table.notes), "")
