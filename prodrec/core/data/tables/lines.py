"""Read a table that people or other commands write beside the products: corrections, borrowed titles, classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.csv_cells import typed
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.records import ROW_COLUMN, refuse_damaged

if TYPE_CHECKING:
    import polars as pl


def read_lines(path: Path, flag: str, columns: Sequence[str], *, optional: Sequence[str] = ()) -> pl.DataFrame:
    """Return the lines that are not blank: ROW_COLUMN, `columns` and those of `optional` that the table has, as text.

    Cells are stripped, without apostrophes before formulas; an empty one is null. Columns have the names that are
    given, whatever their case in the table.

    flag: the option that names the table

    Raise NotFound or BadTable if the table cannot be read or lacks one of `columns`.
    """
    import polars as pl

    table = open_table(path, None)
    header = Header(table.header, path)
    present = {name.lower() for name in table.header}
    names = [*columns, *(name for name in optional if name.lower() in present)]
    own = {name: header.exact(name, flag) for name in names}
    with refuse_damaged(path):
        read = pl.concat([chunk.collect() for chunk in table.chunks(list(own.values()))])
    texts = [typed(pl.col(column)).str.strip_chars().replace("", None).alias(name) for name, column in own.items()]
    return read.select(ROW_COLUMN, *texts).filter(~pl.all_horizontal(pl.col(names).is_null()))
