"""Visits by visitor, variant and day, for conversion rates of unique visitors (A eq. 2).

The table has one of two forms; columns in any order, and further ones are ignored:

    visitor, variant, date, converted       a row for each visit
    variant, date, visitors, conversions    a row for each variant and day

A visitor counts once a day in a variant, however often they came, and is trading if one of these visits converted.

Shapes: V variants, D days, P visitor-days: the days of each visitor in each variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadTable
from prodrec.core.base.wording import counted
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.malformed_rows import MAX_MALFORMED_SHARE
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN
from prodrec.core.data.tables.visit_cells import chosen_columns, read_counts, read_visits

if TYPE_CHECKING:
    import polars as pl

MOST_BAD_ROWS = 100
"""Bad rows that are kept with their problem; the others are counted."""
IN_MESSAGES = 5
"""Bad rows that a message lists."""
MOST_VARIANTS = 50
"""With more, another column was taken for the variants."""


@dataclass(frozen=True, eq=False)
class VisitorDays:
    """The days of each visitor in each variant.

    visitor_P:            int64, numbers of visitors from 0
    variant_P, day_P:     int64, indices into the variants and the days
    is_trading_P:         whether a visit of this day converted
    """

    visitor_P: NDArray[np.int64]
    variant_P: NDArray[np.int64]
    day_P: NDArray[np.int64]
    is_trading_P: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Visits:
    """The unique visitors of every variant and day.

    variants:     names, in the order in which the table has them
    days:         ISO dates, ascending
    visiting_VD:  int64, visitors, each counted once a day
    trading_VD:   int64, those of them who traded
    visitor_days: None for a table of counts
    rows:         number of rows, without blank ones
    bad_rows:     number of rows that were skipped
    first_bad:    the first MOST_BAD_ROWS of them: number of the row, problem
    """

    path: Path
    variants: tuple[str, ...]
    days: tuple[str, ...]
    visiting_VD: NDArray[np.int64]
    trading_VD: NDArray[np.int64]
    visitor_days: VisitorDays | None
    rows: int
    bad_rows: int
    first_bad: tuple[tuple[int, str], ...]
    notes: tuple[str, ...]

    @property
    def bad_rows_text(self) -> str:
        """A sentence with the number of bad rows and the first ones; empty without bad rows."""
        if not self.bad_rows:
            return ""
        are_skipped = counted(self.bad_rows, "row of", "rows of")
        return f"{are_skipped} {self.rows:,} cannot be used: {_list(self.first_bad, self.bad_rows)}"


def open_visits(
    path: Path,
    *,
    visitor_column: str | None = None,
    variant_column: str | None = None,
    date_column: str | None = None,
    visitors_column: str | None = None,
    conversions_column: str | None = None,
    date_format: str | None = None,
) -> Visits:
    """Read a table of visits or of counts, of any format that `prepare` reads. Bad rows are skipped and counted.

    Each column is None to find it by usual names. `date_format` is that of `strftime`; None reads 2026-11-29,
    2026/11/29, 20261129 and 29.11.2026, with or without a time after it.

    Raise NotFound or BadTable if the table cannot be read, lacks a column, or has mostly bad rows or too many variants,
    and BadOption for columns of both forms.
    """
    import polars as pl

    table = open_table(path)
    columns = chosen_columns(
        path,
        table.header,
        visitor=visitor_column,
        variant=variant_column,
        date=date_column,
        visitors=visitors_column,
        conversions=conversions_column,
    )
    read = read_visits if columns.is_visits else read_counts
    good, bad, rows, bad_rows = [], [], 0, 0
    for chunk in table.chunks(columns.names):
        named = chunk.rename(columns.renamed)
        is_blank = pl.col(PROBLEM_COLUMN).str.ends_with(BLANK).fill_null(value=False)
        frame = read(named.filter(~is_blank), date_format).collect()
        is_good = pl.col(PROBLEM_COLUMN).is_null()
        rows += len(frame)
        problems = frame.filter(~is_good).select(ROW_COLUMN, PROBLEM_COLUMN)
        bad_rows += len(problems)
        bad.append(problems.head(MOST_BAD_ROWS))
        good.append(_once(frame.filter(is_good), is_visits=columns.is_visits))
    first_bad = pl.concat(bad).head(MOST_BAD_ROWS).rows()
    frame = _once(pl.concat(good), is_visits=columns.is_visits)
    if not columns.is_visits:
        repeated = frame.filter(pl.struct("variant", "day").is_duplicated())
        frame = frame.filter(pl.struct("variant", "day").is_first_distinct())
        bad_rows += len(repeated) - repeated.unique(["variant", "day"]).height
        first_bad = sorted([*first_bad, *_repetitions(repeated)])[:MOST_BAD_ROWS]
    if not rows:
        raise BadTable(f"{path} has no rows; expected one for each visit, or for each variant and day.")
    if bad_rows > MAX_MALFORMED_SHARE * rows:
        raise BadTable(
            f"{path}: {bad_rows:,} of {counted(rows, 'row', 'rows')} cannot be used ({_list(first_bad, bad_rows)}); "
            "correct the table, name its columns with --visitor-column and the like, or the format of its dates with "
            "--date-format."
        )
    variants = frame["variant"].n_unique()
    if variants > MOST_VARIANTS:
        raise BadTable(
            f"{path} has {variants:,} variants in the column {columns.by_role['variant']!r}; expected at most "
            f"{MOST_VARIANTS}: name another column with --variant-column."
        )
    return _visits(
        path,
        frame,
        is_visits=columns.is_visits,
        rows=rows,
        bad_rows=bad_rows,
        first_bad=tuple((row, problem) for row, problem in first_bad),
        notes=tuple(table.notes),
    )


def _once(frame: pl.DataFrame, *, is_visits: bool) -> pl.DataFrame:
    """Return one row for each visitor, variant and day; a table of counts is returned unchanged."""
    import polars as pl

    if not is_visits:
        return frame
    keys = ["visitor", "variant", "day"]
    return frame.group_by(keys, maintain_order=True).agg(pl.col("is_trading").any(), pl.col(ROW_COLUMN).min())


def _repetitions(repeated: pl.DataFrame) -> list[tuple[int, str]]:
    """Return the rows of a variant and day that an earlier row has: visitors of both cannot be added."""
    first: dict[tuple[str, object], int] = {}
    problems = []
    for variant, day, row in repeated.select("variant", "day", ROW_COLUMN).iter_rows():
        earlier = first.setdefault((variant, day), row)
        if row != earlier:
            problems.append((row, f"variant {variant} on {day} again, as in row {earlier}"))
    return problems


def _visits(
    path: Path,
    frame: pl.DataFrame,
    *,
    is_visits: bool,
    rows: int,
    bad_rows: int,
    first_bad: tuple[tuple[int, str], ...],
    notes: tuple[str, ...],
) -> Visits:
    variants = frame.sort(ROW_COLUMN)["variant"].unique(maintain_order=True).to_list()
    days = frame["day"].unique().sort()
    variant_P = _codes(frame["variant"], variants)
    day_P = _codes(frame["day"], days.to_list())
    shape = (len(variants), len(days))
    visiting_VD, trading_VD = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    visitor_days = None
    if is_visits:
        visitor_P = frame["visitor"].rank("dense").to_numpy().astype(np.int64) - 1
        visitor_days = VisitorDays(visitor_P, variant_P, day_P, frame["is_trading"].to_numpy())
        np.add.at(visiting_VD, (variant_P, day_P), 1)
        np.add.at(trading_VD, (variant_P, day_P), visitor_days.is_trading_P)
    else:
        visiting_VD[variant_P, day_P] = frame["visiting"].to_numpy()
        trading_VD[variant_P, day_P] = frame["trading"].to_numpy()
    return Visits(
        path=path,
        variants=tuple(variants),
        days=tuple(day.isoformat() for day in days),
        visiting_VD=visiting_VD,
        trading_VD=trading_VD,
        visitor_days=visitor_days,
        rows=rows,
        bad_rows=bad_rows,
        first_bad=first_bad,
        notes=notes,
    )


def _codes(values: pl.Series, names: Sequence[object]) -> NDArray[np.int64]:
    """Return the index of every value in `names`."""
    import polars as pl

    codes = values.replace_strict(names, list(range(len(names))), return_dtype=pl.Int64)
    return codes.to_numpy().astype(np.int64)


def _list(first_bad: Sequence[tuple[int, str]], count: int) -> str:
    """Return the first bad rows with their problems."""
    shown = [f"row {row}: {problem}" for row, problem in first_bad[:IN_MESSAGES]]
    more = [f"and {count - len(shown):,} more"] if count > len(shown) else []
    return "; ".join([*shown, *more])
