"""Refuse tables in which most rows are malformed: they have another format than was assumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.base.wording import counted
from prodrec.core.data.tables.text_file import NOT_TEXT

if TYPE_CHECKING:
    import polars as pl

MAX_MALFORMED_SHARE = 0.5
"""If a larger share of the rows is malformed, the separator, the quotes or the encoding are not what they seem."""

_EXAMPLES = 3

_OTHER_FORMAT = "save the table again as UTF-8 CSV with quoted fields, one row for each product."
_OTHER_ENCODING = (
    "name another encoding with --encoding, such as utf-8, cp1252, mac-roman or gb18030, or save the table as UTF-8."
)


def refuse_if_mostly_malformed(frame: pl.LazyFrame, tables: Sequence[Path]) -> tuple[int, int]:
    """Return the number of rows in the catalogue, and of rows in the tables.

    Raise BadTable if there are none, or if more than MAX_MALFORMED_SHARE of them are malformed. Blank rows do not count
    as malformed here.
    """
    import polars as pl

    is_malformed = pl.col("problem").is_not_null() & ~pl.col("problem").str.ends_with(": blank")
    counts = frame.select(
        rows=pl.len(),
        table_rows=(pl.struct("table", "table_row") != pl.struct("table", "table_row").shift()).fill_null(True).sum(),
        filled=pl.col("problem").is_null().sum(),
        malformed=is_malformed.sum(),
    ).collect(engine="streaming")
    rows, table_rows, filled, malformed = (int(counts[name].item()) for name in counts.columns)
    names = ", ".join(map(str, tables))
    if not rows or not (filled or malformed):
        raise BadTable(f"{names}: zero rows of products; expected one row for each product.")
    if malformed > MAX_MALFORMED_SHARE * (malformed + filled):
        problems = frame.filter(is_malformed).select("problem").head(_EXAMPLES).collect()["problem"].to_list()
        is_encoding = all(problem.endswith(NOT_TEXT) for problem in problems)
        raise BadTable(
            f"{names}: {malformed:,} of {counted(malformed + filled, 'row is', 'rows are')} malformed "
            f"({'; '.join(problems)}); {_OTHER_ENCODING if is_encoding else _OTHER_FORMAT}"
        )
    return rows, table_rows
