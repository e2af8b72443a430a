"""The columns of a table of visits, found by name, and what is in their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

USUAL_NAMES = {
    "visitor": (
        *("visitor", "visitorid", "user", "userid", "uid", "customer", "customerid", "client", "clientid", "cookie"),
        *("cookieid", "deviceid", "buyerid", "sessionuser"),
    ),
    "variant": ("variant", "variantname", "variation", "group", "testgroup", "bucket", "arm", "version", "experiment"),
    "date": ("date", "day", "ds", "dt", "visitdate", "eventdate", "timestamp", "datetime", "time", "visitedat"),
    "visitors": ("visitors", "visiting", "visitinguv", "uv", "uniquevisitors", "users", "uniques"),
    "conversions": (
        *("converted", "conversions", "conversion", "isconverted", "trading", "tradinguv", "traded", "purchased"),
        *("purchases", "bought", "buyers", "ordered", "orders", "paid"),
    ),
}
"""Names as `normalise` makes them, by which a column is found if none is given; the first that the table has."""

OPTIONS = {role: f"--{role}-column" for role in USUAL_NAMES}
VISITS, COUNTS = ("visitor", "variant", "date", "conversions"), ("variant", "date", "visitors", "conversions")

YES, NO = ("yes", "y", "true", "t"), ("no", "n", "false", "f")
USUAL_DATE = "2026-11-29"


@dataclass(frozen=True)
class VisitColumns:
    """The columns of a table of visits, or of counts.

    by_role: the column of each role of VISITS or COUNTS
    """

    by_role: dict[str, str]

    @property
    def is_visits(self) -> bool:
        """Whether a row is a visit."""
        return "visitor" in self.by_role

    @property
    def names(self) -> list[str]:
        """The columns to read."""
        return list(self.by_role.values())

    @property
    def renamed(self) -> dict[str, str]:
        """The role of every column."""
        return {column: role for role, column in self.by_role.items()}


def chosen_columns(path: Path, names: Sequence[str], **requested: str | None) -> VisitColumns:
    """Return the columns of the roles; `requested` names some, and the others have usual names.

    Raise BadTable for a column that the table lacks or that has two roles, and BadOption for columns of both forms.
    """
    header = Header(names, path)
    if requested["visitor"] and requested["visitors"]:
        raise BadOption(
            "--visitor-column is for a row for each visit, and --visitors-column for counts of a day; omit one."
        )
    found = {role: header.find(requested[role], OPTIONS[role], usual) for role, usual in USUAL_NAMES.items()}
    roles = VISITS if found["visitor"] and not requested["visitors"] else COUNTS
    if not found["visitor"] and not found["visitors"]:
        raise BadTable(
            f"{path} has neither a column of visitors' ids nor one of their counts by a usual name; name it with "
            f"{OPTIONS['visitor']} or {OPTIONS['visitors']}; its columns are {header}."
        )
    columns: dict[str, str] = {}
    for role in roles:
        column = found[role]
        if column is None:
            raise BadTable(
                f"{path} has no column of the {role} by a usual name ({', '.join(USUAL_NAMES[role][:4])}, …); name it "
                f"with {OPTIONS[role]}; its columns are {header}."
            )
        if column in columns.values():
            other = next(known for known, name in columns.items() if name == column)
            raise BadTable(
                f"{path}: the column {column!r} would be both {other} and {role}; name another one with "
                f"{OPTIONS[role]}."
            )
        columns[role] = column
    return VisitColumns(columns)


def read_visits(chunk: pl.LazyFrame, date_format: str | None) -> pl.LazyFrame:
    """Return visitor, variant, day, is_trading, the row, and the problem of every row; null for a good one."""
    import polars as pl

    text = pl.col("conversions").fill_null("").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    lower = text.str.to_lowercase()
    is_trading = (
        pl.when(lower.is_in(YES)).then(True).when(lower.is_in(NO)).then(False).when(number.is_finite() & (number >= 0))
    ).then(number > 0)
    visitor = pl.col("visitor").fill_null("").str.strip_chars()
    problems = (
        pl.when(visitor == "").then(pl.lit("no visitor")),
        *_problems_of_keys(date_format),
        pl.when(is_trading.is_null()).then(
            pl.format("the conversion '{}' is neither yes nor no nor a number of orders", text)
        ),
    )
    return _examined(chunk, date_format, problems, visitor=visitor, is_trading=is_trading)


def read_counts(chunk: pl.LazyFrame, date_format: str | None) -> pl.LazyFrame:
    """Return variant, day, visiting, trading, the row, and the problem of every row; null for a good one."""
    import polars as pl

    texts = {role: pl.col(role).fill_null("").str.strip_chars() for role in ("visitors", "conversions")}
    counts = {role: _whole_number(text) for role, text in texts.items()}
    problems = (
        *_problems_of_keys(date_format),
        *(
            pl.when(counts[role].is_null()).then(pl.format(f"the {role} '{{}}' are no whole number", text))
            for role, text in texts.items()
        ),
        pl.when(counts["conversions"] > counts["visitors"]).then(
            pl.format("{} conversions of {} visitors", counts["conversions"], counts["visitors"])
        ),
    )
    return _examined(chunk, date_format, problems, visiting=counts["visitors"], trading=counts["conversions"])


def _examined(
    chunk: pl.LazyFrame, date_format: str | None, problems: Sequence[pl.Expr], **values: pl.Expr
) -> pl.LazyFrame:
    import polars as pl

    malformed = pl.col(PROBLEM_COLUMN).str.replace(r"^(?:row|line) [0-9]+: ", "")
    return chunk.select(
        pl.col(ROW_COLUMN),
        pl.coalesce(malformed, *problems).alias(PROBLEM_COLUMN),
        _variant().alias("variant"),
        _day(date_format).alias("day"),
        **values,
    )


def _problems_of_keys(date_format: str | None) -> tuple[pl.Expr, ...]:
    import polars as pl

    usual = USUAL_DATE if date_format is None else date_format
    return (
        pl.when(_variant() == "").then(pl.lit("no variant")),
        pl.when(_day(date_format).is_null()).then(
            pl.format("the date '{}' is not like {}", _date_text(), pl.lit(usual))
        ),
    )


def _variant() -> pl.Expr:
    import polars as pl

    return pl.col("variant").fill_null("").str.strip_chars()


def _date_text() -> pl.Expr:
    import polars as pl

    return pl.col("date").fill_null("").str.strip_chars()


def _day(date_format: str | None) -> pl.Expr:
    """Return the day of the cell, as it is written: times and their zones change nothing."""
    import polars as pl

    text = _date_text()
    if date_format is not None:
        return text.str.to_date(date_format, strict=False)
    forms = (
        (r"^(\d{4}-\d{1,2}-\d{1,2})(?:[T ].*)?$", "%Y-%m-%d"),
        (r"^(\d{4}/\d{1,2}/\d{1,2})(?:[T ].*)?$", "%Y/%m/%d"),
        (r"^(\d{8})$", "%Y%m%d"),
        (r"^(\d{1,2}\.\d{1,2}\.\d{4})(?: .*)?$", "%d.%m.%Y"),
    )
    return pl.coalesce(*(text.str.extract(pattern).str.to_date(form, strict=False) for pattern, form in forms))


def _whole_number(text: pl.Expr) -> pl.Expr:
    """Return the count in a cell; null for what is no whole number from 0. Excel writes 12 as 12.0."""
    import polars as pl

    return text.str.extract(r"^(\d{1,15})(?:\.0*)?$").cast(pl.Int64, strict=False)
