"""The first rows of a table, from which the roles of its columns are detected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from prodrec.core.data.tables.column_names import (
    ID_NAMES,
    NUMBERED_LEVEL,
    PARENT_NAMES,
    SINGLE_NAMES,
    SKU_NAMES,
    SPLIT_COLUMN_NAMES,
)
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.records import Table, refuse_damaged

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 2_000

_NAMES = frozenset((*SINGLE_NAMES, *ID_NAMES, *SKU_NAMES, *PARENT_NAMES, *SPLIT_COLUMN_NAMES))


@dataclass(frozen=True)
class TableSample:
    """Some columns of the first SAMPLE_ROWS rows; they are read together when a value is needed.

    columns: the columns whose values may be needed; reading all would read the photos in some tables
    """

    table: Table
    columns: tuple[str, ...]

    def values(self, column: str) -> list[str]:
        """Return the values of one of `columns` without blanks around them, and without empty ones."""
        return [text for value in self._rows[column].drop_nulls() if (text := value.strip())]

    @cached_property
    def _rows(self) -> pl.DataFrame:
        import polars as pl

        first = next(iter(self.table.chunks(self.columns)), None)
        if first is None:
            return pl.DataFrame(schema=dict.fromkeys(self.columns, pl.String))
        with refuse_damaged(self.table.path):
            return first.head(SAMPLE_ROWS).select(self.columns).collect()


def take_sample(table: Table, header: Header, requested: ColumnNames) -> TableSample:
    """Return the sample of the columns whose roles depend on their values."""
    columns = [
        name for usual, name in header.by_normalised.items() if usual in _NAMES or NUMBERED_LEVEL.fullmatch(usual)
    ]
    named = [header.exact(requested.id, "--id")] if requested.id else []
    return TableSample(table, tuple(dict.fromkeys([*columns, *named])))


def sample_unique_columns(table: Table, header: Header) -> TableSample:
    """Return the sample of all columns whose names occur once."""
    return TableSample(table, tuple(name for name in header.names if header.names.count(name) == 1))
