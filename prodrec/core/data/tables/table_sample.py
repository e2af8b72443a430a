"""The first rows of a table, from which the roles of its columns are detected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prodrec.core.data.tables.records import Table

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 2_000


def read_sample(table: Table, columns: Sequence[str]) -> pl.DataFrame:
    """Return `columns` of the first SAMPLE_ROWS rows."""
    import polars as pl

    first = next(iter(table.chunks(columns)), None)
    if first is None:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return first.head(SAMPLE_ROWS).select(columns).collect()
