"""`prodrec audit`: its options reach the function, and its result is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_json_has_files_counts_and_weights(
    journey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prodrec: Callable[[str], Any]
) -> None:
    monkeypatch.chdir(journey.folder)
    csv, html = tmp_path / "s.csv", tmp_path / "a.html"
    result = prodrec(f"prodrec audit dataset --run sicot --csv {csv} --html {html} --suspects 2 --workers 0 --json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["csv"] == str(csv) and csv.is_file() and html.is_file()
    assert values["suspects"] <= 2 and values["counts"]["rows"] == values["counts"]["audited"] == 12
    assert {"photo", "neighbours", "title"} <= set(values["weights"])


def test_an_unknown_run_is_one_sentence(
    journey: Any, monkeypatch: pytest.MonkeyPatch, prodrec: Callable[[str], Any]
) -> None:
    monkeypatch.chdir(journey.folder)
    result = prodrec("prodrec audit --run nothing")
    assert result.exit_code == 2
    assert "error: nothing does not exist; expected a run directory" in result.stderr
