"""Texts from a catalogue that a spreadsheet would compute."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from prodrec.core.base.csv_cells import harmless, write_csv

CELLS = [
    ('=HYPERLINK("http://x",A1)', True),
    ("+cmd|' /C calc'!A0", True),
    ("-2+3", True),
    ("@SUM(A1)", True),
    ("\t=1", True),
    ("-12.5", False),
    ("+1,234", False),
    ("", False),
    ("shoes = good", False),
    ("连衣裙", False),
    ("-", True),
]


@pytest.mark.parametrize(("cell", "computed"), CELLS)
def test_a_formula_becomes_a_text(cell: str, computed: bool) -> None:
    assert harmless(cell) == ("'" + cell if computed else cell)


def test_tables(tmp_path: Path) -> None:
    texts = [cell for cell, _ in CELLS]
    write_csv(
        pl.DataFrame({"text": texts, "again": texts, "n": [-1] * len(texts), "none": [None] * len(texts)}),
        tmp_path / "a.csv",
    )
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [row["again"] for row in rows] == [harmless(cell) for cell in texts]
    assert {(row["n"], row["none"]) for row in rows} == {("-1", "")}
    with (tmp_path / "b.csv").open("wb") as stream:
        write_csv(pl.DataFrame({"text": ["=1"]}), stream)
        write_csv(pl.DataFrame({"text": ["@2"]}), stream, include_header=False)
    assert (tmp_path / "b.csv").read_text() == "text\n'=1\n'@2\n"
