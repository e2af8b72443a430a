"""suspects.csv: one line for every suspect, with an empty decision that a person fills in.

The columns are those of a table of corrections (`core/base/corrections.py`), and after them what helps to decide. The
path is the proposal: `change` takes it, also when a person corrected it. For odd photos and duplicates it is empty.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prodrec.core.base.corrections import DECISION, correction_columns
from prodrec.core.base.csv_cells import harmless
from prodrec.core.base.taxonomy import PATH_SEPARATOR

HELP_COLUMNS = ("why", "label", "suspicion", "reasons")


@dataclass(frozen=True)
class Line:
    """One line.

    image:     the file, if the decision is about one photo of several; else empty
    path:      the proposed path; () for none
    why:       label, duplicate, or the kind of an odd photo
    label:     the path that the product has
    suspicion: None if it is not about the label
    """

    id: str
    image: str
    title: str
    path: tuple[str, ...]
    why: str
    label: tuple[str, ...]
    suspicion: float | None
    reasons: tuple[str, ...]


def check_levels(levels: Sequence[str]) -> list[str]:
    """Return the columns of the table. Raise BadOption if a level has the name of another column."""
    columns = correction_columns(levels, refused="an audit", also=HELP_COLUMNS)
    return [DECISION, *columns, *HELP_COLUMNS]


def write_table(path: Path, lines: Iterable[Line], levels: Sequence[str]) -> None:
    """Write the lines; no text of them runs as a formula in a spreadsheet."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(check_levels(levels))
        for line in lines:
            names = [*line.path, *[""] * (len(levels) - len(line.path))]
            suspicion = "" if line.suspicion is None else f"{line.suspicion:.3f}"
            facts = [line.why, PATH_SEPARATOR.join(line.label), suspicion, "; ".join(line.reasons)]
            writer.writerow(map(harmless, ["", line.id, line.image, line.title, *names, *facts]))
