"""The header of a table: its columns, found exactly or by usual names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prodrec.core.base.errors import BadTable, did_you_mean
from prodrec.core.data.tables.column_names import normalise


class Header:
    """The column names of a table."""

    def __init__(self, names: Sequence[str], table: Path) -> None:
        self.names = list(names)
        self.table = table
        self.by_normalised = {normalise(name): name for name in reversed(self.names)}  # of equal names the first counts

    def exact(self, name: str, flag: str) -> str:
        """Return the column called `name`, ignoring case if no other one is equal. Raise BadTable."""
        matches = [column for column in self.names if column == name] or [
            column for column in self.names if column.lower() == name.lower()
        ]
        if not matches:
            hint = did_you_mean(name, self.names)
            raise BadTable(f"{self.table} has no column {name!r} ({flag}){hint}; its columns are {self}.")
        if len(matches) > 1:
            raise BadTable(
                f"{self.table} has {len(matches)} columns that match {name!r} ({flag}): {', '.join(matches)}; "
                "rename all but one."
            )
        return matches[0]

    def find(self, requested: str | None, flag: str, usual_names: Sequence[str] = ()) -> str | None:
        """Return the requested column, or else the first usual name that the table has, or None. Raise BadTable."""
        if requested:
            return self.exact(requested, flag)
        return next((self.by_normalised[usual] for usual in usual_names if usual in self.by_normalised), None)

    def __str__(self) -> str:
        return ", ".join(self.names)
