"""`prodrec compare` from the command line: what it prints, and one sentence for every error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])


@pytest.fixture
def two(draw_scores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs in scores/ of the current folder, one of them much better."""
    monkeypatch.chdir(tmp_path)
    for name, right in (("visual", 1.0), ("sicot", 3.0)):
        draw_scores(name, seed=int(right), right=right, rows=400, out=tmp_path / "scores" / f"{name}.h5")


@pytest.mark.usefixtures("two")
def test_verdicts_are_sentences() -> None:
    result = call()
    assert result.exit_code == 0, result.output
    assert "sicot against visual" in result.stdout and "sicot is better than visual by" in result.stdout
    assert "Settings that differ" in result.stdout and "--set seed=1" in result.stderr
    swapped = call("sicot", "visual")
    assert "visual is worse than sicot by" in swapped.stdout


@pytest.mark.usefixtures("two")
def test_json_is_one_object() -> None:
    compared = json.loads(call("visual", "scores/sicot.h5", "--json").stdout)
    assert [column["name"] for column in compared["columns"]] == ["visual", "sicot"]
    first = compared["differences"][0]
    assert first["verdict"] == "better" and first["low"] > 0 and first["mcnemar"][0]["better"] > 20


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--split", "tests"], "did you mean test?"),
        (["--split", "train"], "no rows of split 'train'"),
        (["--top", "0"], "--top 0: expected numbers from 1 to the number of classes, 12."),
        (["--baseline", "visul"], "did you mean visual?"),
        (["--table", "a5"], "expected one of a2"),
        (["--head-from", "0"], "--head-from 0"),
        (["--csv", "scores/sicot.h5"], "is one of the score files"),
        (["--csv", "a.csv", "--markdown", "a.csv"], "is named twice"),
        (["visual"], "there is one column, visual"),
        (["none"], "scores file none does not exist"),
    ],
)
def test_bad_options_are_one_sentence(arguments: list[str], named: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and named in result.stderr and not result.stdout
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("two")
def test_files_are_not_replaced_without_force(tmp_path: Path) -> None:
    assert call("--csv", "a.csv").exit_code == 0
    before = (tmp_path / "a.csv").read_bytes()
    again = call("--csv", "a.csv", "--top", 2)
    assert again.exit_code == 2 and "--force" in again.stderr and (tmp_path / "a.csv").read_bytes() == before
    assert call("--csv", "a.csv", "--top", 2, "--force").exit_code == 0
    assert (tmp_path / "a.csv").read_bytes() != before


def test_a_run_that_was_not_scored_names_the_command(
    journey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(journey.folder / "runs")
    result = call("sicot")
    assert result.exit_code == 2 and "the run sicot has no scores" in result.stderr
    assert "`prodrec score sicot`" in result.stderr
