from __future__ import annotations

import csv
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.eval.audit.table import Line, check_levels, write_table


def test_lines_have_an_empty_decision_and_no_formula(tmp_path: Path) -> None:
    line = Line("=id", "", "a, b", ("A",), "label", ("B", "b"), 0.9876, ("one", "two"))
    odd = Line("p2", "2.jpg", "", (), "dark", ("B",), None, ("the photo is very dark",))
    write_table(tmp_path / "t.csv", [line, odd], ("root", "leaf"))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        header, first, second = csv.reader(file)
    assert header == ["decision", "id", "image", "title", "root", "leaf", "why", "label", "suspicion", "reasons"]
    assert first == ["", "'=id", "", "a, b", "A", "", "label", "B / b", "0.988", "one; two"]
    assert second == ["", "p2", "2.jpg", "", "", "", "dark", "B", "", "the photo is very dark"]


def test_levels_with_the_name_of_a_column_are_refused() -> None:
    with pytest.raises(BadOption, match="an audit cannot be used with the levels root, label"):
        check_levels(["root", "label"])
