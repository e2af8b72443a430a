"""The tables of a comparison as rows of texts, which every renderer prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodrec.eval.compare.verdicts import mcnemar_text, sentence

if TYPE_CHECKING:
    from prodrec.eval.compare.comparison import Comparison, Measure

MOST_SETTINGS = 40
"""Settings that are shown to people; --json has all of them."""


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    title: a line above the table
    rows:  of as many texts as `header`; the columns from `numbers` on contain numbers
    notes: lines below the table
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int = 1
    notes: tuple[str, ...] = ()


def accuracy_table(comparison: Comparison) -> TextTable:
    """Return the accuracies of all columns."""
    header = (f"{comparison.split} split, top-{comparison.top}", "classes", comparison.units, *comparison.names)
    rows = [
        (
            measure.name,
            f"{measure.classes:,}"
            if measure.classes == measure.total_classes
            else f"{measure.classes:,} of {measure.total_classes:,}",
            f"{measure.images:,}",
            *(_value_text(measure, i) for i in range(len(comparison.names))),
        )
        for measure in comparison.measures
    ]
    has_seeds = any(len(group.files) > 1 for group in comparison.run_groups)
    spread = "; ± sample standard deviation over seeds" if has_seeds else ""
    return TextTable(f"Accuracy in percent{spread}", header, tuple(rows))


def _value_text(measure: Measure, column: int) -> str:
    spread = measure.spread(column)
    return f"{100 * measure.mean(column):.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}")


def verdict_lines(comparison: Comparison) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield a heading for every pair of columns, and for every measure its name and its verdict."""
    for first, second in dict.fromkeys((d.first, d.second) for d in comparison.differences):
        lines = []
        for difference in comparison.differences:
            if (difference.first, difference.second) == (first, second):
                exact = mcnemar_text(difference)
                text = sentence(comparison, difference)
                lines.append((difference.measure.name, f"{text} {exact}." if exact else text))
        yield f"{comparison.names[second]} against {comparison.names[first]}", lines


def settings_table(comparison: Comparison) -> TextTable | None:
    """Return the settings in which the columns differ, or None if they differ in none."""
    settings: Sequence[tuple[str, tuple[str, ...]]] = list(comparison.settings.items())
    if not settings:
        return None
    rows = tuple((name, *values) for name, values in settings[:MOST_SETTINGS])
    more = len(settings) - MOST_SETTINGS
    notes = (f"{more:,} more settings are in --json.",) if more > 0 else ()
    return TextTable("Settings that differ", ("setting", *comparison.names), rows, numbers=len(rows[0]), notes=notes)
