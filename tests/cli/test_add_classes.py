"""`prodrec add-classes` on the command line, and `prodrec inspect` of what it writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest


def test_the_command_and_the_summary_of_its_run(after_journey: Path, prodrec: Any) -> None:
    table = after_journey / "products.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    named = next(row for row in rows if row["leaf"] and row["title"])
    with (after_journey / "more.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        of_leaf = [row for row in rows if row["leaf"] == named["leaf"]]
        writer.writerows({**row, "id": "N" + row["id"], "leaf": "New " + row["leaf"]} for row in of_leaf)
    for line in ("prodrec prepare more.csv --no-images --out more", "prodrec train words"):
        assert (done := prodrec(line)).exit_code == 0, done.output
    made = prodrec("prodrec add-classes words more --workers 0 --bonus 1 --json")
    assert made.exit_code == 0, made.output
    result = json.loads(made.stdout)
    assert result["run"] == "runs/words-extended" and result["origin"]["fit"]["new_classes"] == 1
    shown = prodrec("prodrec inspect runs/words-extended").stdout
    assert "made by" in shown and "add-classes, on the network of words" in shown and "hidden accuracy" in shown
    photo = next(path for path in sorted((after_journey / "photos").iterdir()) if path.suffix == ".jpg")
    assert prodrec(f"prodrec explain runs/words-extended {photo}").exit_code == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("add-classes sicot dataset", "runs/sicot does not predict the words of titles; train one with --set heads="),
        ("add-classes none dataset", "none does not exist"),
        ("add-classes sicot none", "none"),
    ],
)
def test_bad_input(after_journey: Path, prodrec: Any, line: str, message: str) -> None:
    result = prodrec(f"prodrec {line}")
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())
