"""`prodrec uv`: options, what is printed, and one sentence for every mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import prodrec as package

Call = Callable[[str], Result]

TABLE = """variant,date,visitors,conversions
old,2026-11-01,10000,400
new,2026-11-01,10000,480
old,2026-11-02,11000,430
new,2026-11-02,10500,490
new,2026-11-03,oops,1
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "visits.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rates_gain_and_bad_rows(place: Path, prodrec: Call) -> None:
    result = prodrec("prodrec uv visits.csv")
    assert result.exit_code == 0
    assert "4.80 (480 of 10,000)" in result.stdout
    assert "new is better than old: +19.7 % [+9." in result.stdout and "p < 0.001." in result.stdout
    bad = "warning: visits.csv: 1 row of 5 cannot be used: row 6: the visitors 'oops' are no whole number."
    assert bad in result.stderr.splitlines()


def test_json_has_the_values_of_the_function(place: Path, prodrec: Call) -> None:
    content = json.loads(prodrec("prodrec uv visits.csv --control new --gain 3% --power 90% --json").stdout)
    assert content == package.uv("visits.csv", control="new", gain=0.03, power=0.9).as_json()
    assert content["control"] == "new" and content["gains"][0]["variant"] == "old"
    assert content["bad_rows"] == {
        "count": 1,
        "first": [{"row": 6, "problem": "the visitors 'oops' are no whole number"}],
    }
    assert content["needed"]["power"] == 0.9
    assert content["variants"][1]["by_day"][0] == {
        "day": "2026-11-01",
        "visiting": 10000,
        "trading": 480,
        "rate": 0.048,
    }


def test_the_default_power(place: Path) -> None:
    assert package.uv("visits.csv", gain="3%").needed == package.uv("visits.csv", gain=0.03, power="0.8").needed


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("none.csv", "table none.csv does not exist."),
        ("visits.csv --power 0.9", 'add --gain, such as "--gain 3%".'),
        ("visits.csv --gain 3", "--gain 3: expected a part of 1, such as 3% or 0.03."),
        ("visits.csv --gain 3% --power 80", "--power 80: expected a part of 1, such as 0.8 or 80%."),
        ("visits.csv --gain more", "--gain more: expected a part of 1"),
        ("visits.csv --control nwe", "--control nwe: the variants of visits.csv are old, new (did you mean new?)."),
        ("visits.csv --visitor-column variant", "the column 'variant' would be both visitor and variant"),
        ("visits.csv --date-format %d/%m/%Y", "5 of 5 rows cannot be used"),
    ],
)
def test_mistakes_are_one_sentence(place: Path, prodrec: Call, options: str, sentence: str) -> None:
    result = prodrec(f"prodrec uv {options}")
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and sentence in result.stderr
