"""Corrections are rows that `prodrec prepare` reads."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.serve.corrections import Corrections


def test_rows_are_appended_also_after_a_restart(tmp_path: Path) -> None:
    table = tmp_path / "new" / "corrections.csv"
    first = Corrections(table, ("root", "leaf")).add(b"one", ("Shoes", "Boots"), title="=SUM(A1)")
    second = Corrections(table, ("root", "leaf")).add(b"two", ("Bags",))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [first, second] and first != second
    assert [(row["root"], row["leaf"], row["title"]) for row in rows] == [
        ("Shoes", "Boots", "'=SUM(A1)"),
        ("Bags", "", ""),
    ]
    assert [(table.parent / row["image"]).read_bytes() for row in rows] == [b"one", b"two"]


def test_what_cannot_be_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("id,image,leaf\n1,a.jpg,Boots\n")
    with pytest.raises(BadOption, match="has the columns id, image, leaf; this run needs id, image, title, root, leaf"):
        Corrections(tmp_path / "other.csv", ("root", "leaf"))
    with pytest.raises(BadOption, match="expected the name of a CSV file"):
        Corrections(tmp_path, ("root", "leaf"))
    with pytest.raises(BadOption, match="prepare the dataset with other names"):
        Corrections(tmp_path / "c.csv", ("root", "title"))
    with pytest.raises(OutputExists, match="is a file"):
        Corrections(tmp_path / "other.csv" / "c.csv", ("root", "leaf"))
