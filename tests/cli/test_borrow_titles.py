"""`prodrec borrow-titles`: its options reach the function, and its result is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_json_has_counts_and_the_trial(
    journey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prodrec: Callable[[str], Any]
) -> None:
    table = (journey.folder / "products.csv").read_text("utf-8").splitlines()
    title = table[0].split(",").index("title")
    cells = [line.split(",") for line in table]
    for row in cells[1::3]:
        row[title] = ""
    (tmp_path / "products.csv").write_text("\n".join(map(",".join, cells)) + "\n", "utf-8")
    for part in ("photos", "runs"):
        (tmp_path / part).symlink_to(journey.folder / part)
    monkeypatch.chdir(tmp_path)
    assert prodrec("prodrec prepare products.csv --images photos/ --workers 1").exit_code == 0
    result = prodrec("prodrec borrow-titles --run sicot --min-similarity 0.1 --workers 0 --out lent.csv --json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["csv"] == "lent.csv" and values["without_title"] == 4 and values["min_similarity"] == 0.1
    assert len(Path("lent.csv").read_text("utf-8").splitlines()) == 1 + values["borrowed"]
    assert "--borrowed-titles lent.csv" in " ".join(result.stderr.split())
    line = "prodrec prepare products.csv --images photos/ --workers 1 --borrowed-titles lent.csv --out titled"
    assert prodrec(line).exit_code == 0


def test_a_dataset_with_all_titles_is_one_sentence(
    journey: Any, monkeypatch: pytest.MonkeyPatch, prodrec: Callable[[str], Any]
) -> None:
    monkeypatch.chdir(journey.folder)
    result = prodrec("prodrec borrow-titles")
    assert (
        result.exit_code == 2
        and "error: every photo of dataset has a title; there is nothing to borrow." in result.stderr
    )
