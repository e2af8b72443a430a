"""Tables of visits and of counts: against a plain loop, in every format, and with every kind of bad row."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadOption, BadTable, NotFound
from prodrec.core.data.tables.visits import MOST_BAD_ROWS, Visits, open_visits

from .test_excel_table import write_workbook

VISITS = [
    ("ann", "old", "2026-11-01", "0"),
    ("ann", "old", "2026-11-01", "1"),
    ("ann", "old", "2026-11-02", "0"),
    ("bob", "new", "2026-11-02", "1"),
    ("bob", "new", "2026-11-02", "1"),
    ("cat", "new", "2026-11-01", "0"),
    ("bob", "old", "2026-11-02", "0"),
]
HEADER = ("visitor", "variant", "date", "converted")


def write(path: Path, *rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> Path:
    path.write_text("\n".join(",".join(row) for row in (header, *rows)) + "\n", "utf-8")
    return path


def by_loop(rows: list[tuple[str, ...]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Visiting and trading visitors by variant and day (A eq. 2)."""
    visiting, trading = defaultdict(set), defaultdict(set)
    for visitor, variant, day, converted in rows:
        visiting[variant, day].add(visitor)
        if converted == "1":
            trading[variant, day].add(visitor)
    return {key: (len(visiting[key]), len(trading[key])) for key in visiting}


def cells(visits: Visits) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (variant, day): (int(visits.visiting_VD[v, d]), int(visits.trading_VD[v, d]))
        for v, variant in enumerate(visits.variants)
        for d, day in enumerate(visits.days)
        if visits.visiting_VD[v, d]
    }


def test_visitors_count_once_a_day(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        (f"u{random.integers(30)}", "ab"[random.integers(2)], f"2026-11-0{random.integers(1, 4)}", f"{i % 5 // 4}")
        for i in range(400)
    ]
    for some in (VISITS, rows):
        visits = open_visits(write(tmp_path / "v.csv", *some))
        assert cells(visits) == by_loop(some) and visits.rows == len(some) and visits.bad_rows == 0
        assert visits.variants[0] == some[0][1] and visits.bad_rows_text == ""
        days = visits.visitor_days
        assert days is not None and len(days.visitor_P) == len({row[:3] for row in some})
        assert days.visitor_P.max() + 1 == len({row[0] for row in some})


def test_chunks_of_a_table_are_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "v.csv", *VISITS)
    from prodrec.core.data.tables import visits as module

    real = module.open_table

    class InRows:
        def __init__(self, path: Path) -> None:
            self.table = real(path)
            self.header, self.notes = self.table.header, self.table.notes

        def chunks(self, columns: list[str]) -> object:
            frame = pl.concat([chunk.collect() for chunk in self.table.chunks(columns)])
            return (frame[i : i + 1].lazy() for i in range(len(frame)))

    monkeypatch.setattr(module, "open_table", InRows)
    assert cells(open_visits(path)) == by_loop(VISITS)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_every_format_gives_the_same(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"v.{ending}"
    frame = pl.DataFrame(VISITS, schema=HEADER, orient="row")
    if ending == "csv":
        frame.write_csv(path)
    elif ending == "tsv":
        frame.write_csv(path, separator="\t")
    elif ending == "jsonl":
        frame.with_columns(pl.col("converted") == "1").write_ndjson(path)
    elif ending == "parquet":
        frame.with_columns(pl.col("date").str.to_date(), pl.col("converted").cast(pl.Float64)).write_parquet(path)
    else:
        write_workbook(path, [list(HEADER), *([*row[:3], int(row[3])] for row in VISITS)])
    assert cells(open_visits(path)) == by_loop(VISITS)


@pytest.mark.parametrize(
    ("text", "date_format"),
    [
        ("2026-11-09T10:20:00Z", None),
        ("2026-11-09 23:59", None),
        ("2026/11/9", None),
        ("20261109", None),
        ("9.11.2026", None),
        ("09/11/2026", "%d/%m/%Y"),
        ("11/09/26 10:15", "%m/%d/%y %H:%M"),
    ],
)
def test_dates_as_people_write_them(tmp_path: Path, text: str, date_format: str | None) -> None:
    path = write(tmp_path / "v.csv", ("a", "x", text, "1"))
    assert open_visits(path, date_format=date_format).days == (dt.date(2026, 11, 9).isoformat(),)


@pytest.mark.parametrize("yes", ["1", "yes", "Y", "TRUE", "t", "2", "19.90"])
@pytest.mark.parametrize("no", ["0", "no", "N", "False", "f", "0.0"])
def test_conversions_as_people_write_them(tmp_path: Path, yes: str, no: str) -> None:
    path = write(tmp_path / "v.csv", ("a", "x", "2026-11-09", yes), ("b", "x", "2026-11-09", no))
    assert cells(open_visits(path)) == {("x", "2026-11-09"): (2, 1)}


def test_bad_visits_are_counted_and_listed(tmp_path: Path) -> None:
    bad = [
        ("", "old", "2026-11-01", "1"),
        ("dan", " ", "2026-11-01", "1"),
        ("dan", "old", "1/11/2026", "1"),
        ("dan", "old", "2026-11-31", "1"),
        ("dan", "old", "2026-11-01", ""),
        ("dan", "old", "2026-11-01", "-1"),
        ("dan", "old"),
    ]
    visits = open_visits(write(tmp_path / "v.csv", *bad, *VISITS, ("",)))
    assert cells(visits) == by_loop(VISITS)
    assert (visits.rows, visits.bad_rows) == (14, 7)
    assert visits.first_bad == (
        (2, "no visitor"),
        (3, "no variant"),
        (4, "the date '1/11/2026' is not like 2026-11-29"),
        (5, "the date '2026-11-31' is not like 2026-11-29"),
        (6, "the conversion '' is neither yes nor no nor a number of orders"),
        (7, "the conversion '-1' is neither yes nor no nor a number of orders"),
        (8, "2 fields where the header has 4"),
    )
    assert visits.bad_rows_text.startswith("7 rows of 14 cannot be used: row 2: no visitor; row 3")
    assert visits.bad_rows_text.endswith("; and 2 more")


COUNTS = ("variant", "day", "visitors", "conversions")


def test_counts_and_their_bad_rows(tmp_path: Path) -> None:
    rows = [
        ("old", "2026-11-02", "10.0", "3"),
        ("new", "2026-11-01", "12", "13"),
        ("new", "2026-11-01", "12", "2"),
        ("old", "2026-11-01", "-3", "0"),
        ("old", "2026-11-02", "11", "4"),
        ("old", "2026-11-01", "8", "0"),
    ]
    visits = open_visits(write(tmp_path / "v.csv", *rows, header=COUNTS))
    assert visits.visitor_days is None and visits.variants == ("old", "new")
    expected = {("old", "2026-11-01"): (8, 0), ("old", "2026-11-02"): (10, 3), ("new", "2026-11-01"): (12, 2)}
    assert cells(visits) == expected and visits.bad_rows == 3
    assert visits.first_bad == (
        (3, "13 conversions of 12 visitors"),
        (5, "the visitors '-3' are no whole number"),
        (6, "variant old on 2026-11-02 again, as in row 2"),
    )


def test_only_the_first_bad_rows_are_kept(tmp_path: Path) -> None:
    good, bad = ("a", "x", "2026-11-09", "1"), ("", "x", "2026-11-09", "1")
    visits = open_visits(write(tmp_path / "v.csv", *[good] * 200, *[bad] * 150))
    assert visits.bad_rows == 150 and len(visits.first_bad) == MOST_BAD_ROWS
    assert "and 145 more" in visits.bad_rows_text


def test_columns_are_found_or_named(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", *VISITS, header=("Client ID", "Test-Group", "Timestamp", "orders"))
    assert cells(open_visits(path)) == by_loop(VISITS)
    path = write(tmp_path / "v.csv", *VISITS, header=("w", "x", "y", "z"))
    named = open_visits(path, visitor_column="w", variant_column="X", date_column="y", conversions_column="z")
    assert cells(named) == by_loop(VISITS)
    both = write(
        tmp_path / "v.csv",
        ("ann", "old", "2026-11-01", "10", "3"),
        header=("visitor", "variant", "date", "visitors", "conversions"),
    )
    assert open_visits(both).visitor_days is not None
    assert cells(open_visits(both, visitors_column="visitors")) == {("old", "2026-11-01"): (10, 3)}


def test_what_no_table_of_visits_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.csv does not exist"):
        open_visits(tmp_path / "none.csv")
    path = tmp_path / "v.csv"
    write(path, *VISITS, header=("w", "variant", "date", "converted"))
    with pytest.raises(BadTable, match=r"neither .*--visitor-column or --visitors-column; its columns are w, variant"):
        open_visits(path)
    with pytest.raises(BadTable, match=r"no column 'vsitor' \(--visitor-column\)"):
        open_visits(path, visitor_column="vsitor")
    with pytest.raises(BadTable, match="'w' would be both visitor and variant; name another one with --variant-column"):
        open_visits(path, visitor_column="w", variant_column="w")
    with pytest.raises(BadOption, match="--visitors-column for counts of a day; omit one"):
        open_visits(path, visitor_column="w", visitors_column="w")
    write(path, *VISITS, header=("visitor", "w", "date", "converted"))
    with pytest.raises(BadTable, match=r"no column of the variant by a usual name \(variant, .*--variant-column; its"):
        open_visits(path)
    write(
        path, *[(f"u{i}", f"u{i}", "2026-11-01", "1") for i in range(51)], header=("visitor", "w", "date", "converted")
    )
    with pytest.raises(
        BadTable, match=r"has 51 variants in the column 'w'; expected at most 50: .*--variant-column\.$"
    ):
        open_visits(path, variant_column="w")
    write(path)
    with pytest.raises(BadTable, match=r"v\.csv has no rows; expected one for each visit"):
        open_visits(path)
    write(path, *[(*row[:2], "1/11/2026", row[3]) for row in VISITS])
    with pytest.raises(BadTable, match=r"7 of 7 rows cannot be used \(row 2: the date '1/11/2026' .*--date-format\.$"):
        open_visits(path)
    assert open_visits(path, date_format="%d/%m/%Y").days == ("2026-11-01",)  # the remedy of the message
