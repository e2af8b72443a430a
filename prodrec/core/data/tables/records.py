"""Records of a table: rows with the text of some columns, a row number, and the problem of each malformed row.

Every reader of this package yields record chunks, whatever the format of the file.

Rows are numbered as a user sees them: in CSV, TSV and Excel the header is row 1 and the first product is row 2; in JSON
lines the row is the line; in Parquet, JSON arrays and XML the first product is row 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prodrec.core.base.errors import BadTable

if TYPE_CHECKING:
    import polars as pl

ROW_COLUMN = "__row"
"""The column that contains the row number."""

PROBLEM_COLUMN = "__problem"
"""The column that contains why a row is malformed; null for a row that is not. A malformed row has no other value."""


class Table(Protocol):
    """An open table, whatever its format.

    header: the column names, in order
    """

    header: list[str]

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def notes(self) -> list[str]:
        """What the user should know about how the table was read, once all chunks were read."""
        ...

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows with `columns` as text, ROW_COLUMN and PROBLEM_COLUMN; one empty chunk if there are no rows.

        Empty values are null or "". A list or an object is JSON text.
        """
        ...


@contextmanager
def refuse_damaged(path: Path) -> Iterator[None]:
    """Raise BadTable if polars finds a damaged page while it computes the rows of the Parquet file `path`."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.ComputeError, OSError) as error:
        reason = str(error).splitlines()[0]
        if not reason.startswith("parquet: "):
            raise
        raise BadTable(f"{path} is damaged ({reason.rstrip('.')}); copy or download it again.") from error


def refuse_repeated_columns(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    """Raise BadTable if one of `columns` occurs more than once in the header."""
    for name in columns:
        if header.count(name) > 1:
            raise BadTable(f"{path} has the column {name!r} {header.count(name)} times; rename all but one.")


def frame_of_rows(
    values: Mapping[str, Sequence[str | None] | pl.Series], height: int, problems: Mapping[int, str]
) -> pl.DataFrame:
    """Return a chunk of rows with PROBLEM_COLUMN.

    values:   the text of every column
    problems: by position in the chunk, why the row is malformed
    """
    import polars as pl

    texts = (
        [problems.get(i) for i in range(height)] if problems else pl.repeat(None, height, dtype=pl.String, eager=True)
    )
    columns = {**values, PROBLEM_COLUMN: texts}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def number_rows(frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
    """Return the frame with ROW_COLUMN: consecutive numbers from `first_row`."""
    import polars as pl

    return frame.with_columns(pl.int_range(first_row, first_row + pl.len(), dtype=pl.Int64).alias(ROW_COLUMN))
