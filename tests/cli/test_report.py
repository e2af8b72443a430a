"""`prodrec report` from the command line: what it prints and writes, and one sentence for every error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments)])


@pytest.fixture
def two(draw_scores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two runs in scores/ of the current folder."""
    monkeypatch.chdir(tmp_path)
    files = [("sicot", 2), ("visual", 1)]
    return [draw_scores(name, seed=seed, out=tmp_path / "scores" / f"{name}.h5").path for name, seed in files]


def test_without_arguments_all_of_scores_is_compared_with_visual(two: list[Path]) -> None:
    result = call("--by-head-tail", "--by-root", "--by-level")
    assert result.exit_code == 0, result.output
    head = next(line for line in result.stdout.splitlines() if "classes" in line)
    assert head.split() == ["test", "split", "percent", "classes", "images", "visual", "sicot", "gain"]
    assert "gains are percentage points over visual" in result.stdout
    for text in ("head (≥ 100)", "tail (< 100)", "few (< 20)", "mean over roots", "root 2", "by level"):
        assert text in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_one_object_on_standard_output(two: list[Path]) -> None:
    result = call(*two, "--json", "--by-root", "--top", "1,2")
    report_json = json.loads(result.stdout)
    assert [column["name"] for column in report_json["columns"]] == ["sicot", "visual"]
    assert {row["top"] for row in report_json["rows"]} == {1, 2}
    assert report_json["rows"][0]["cells"]["visual"]["gain"]["paired"] is True


def test_files_are_written_and_not_replaced(two: list[Path], tmp_path: Path) -> None:
    outputs = ["--csv", "out/report.csv", "--markdown", "report.md", "--figures", "figures"]
    assert call(*outputs).exit_code == 0
    written = [tmp_path / "out/report.csv", tmp_path / "report.md", *sorted((tmp_path / "figures").iterdir())]
    assert len(written) == 6 and all(path.stat().st_size > 300 for path in written)
    before = [path.read_bytes() for path in written]
    again = call("--split", "validation", *outputs)
    assert again.exit_code == 2 and "--force" in again.stderr
    assert [path.read_bytes() for path in written] == before
    assert call("--split", "validation", *outputs, "--force").exit_code == 0
    assert written[1].read_bytes() != before[1]


def test_a_page_is_written_and_not_replaced(two: list[Path], tmp_path: Path) -> None:
    result = call("--html", "page.html")
    assert result.exit_code == 0 and "wrote page.html" in result.stderr and "gain" in result.stdout
    before = (tmp_path / "page.html").read_bytes()
    assert b"In short" in before and b"by root" not in result.stdout.encode()
    wrong(call("--html", "page.html", "--split", "validation"), "page.html exists already", "--force")
    assert (tmp_path / "page.html").read_bytes() == before
    wrong(call("--html", two[0], "--force"), "is one of the score files")
    wrong(call("--html", "new.html", "--dataset", "none"), "none")
    wrong(call("--dataset", "none"), "add --html, or omit --dataset")
    assert not (tmp_path / "new.html").exists()


def test_means_over_seeds(draw_scores: Any, tmp_path: Path) -> None:
    files = [draw_scores(f"{f}-{s}", family=f, run_seed=s, seed=s).path for f in ("visual", "sicot") for s in (1, 2)]
    result = call(*files, "--mean")
    assert "visual (2 seeds)" in result.stdout and "±" in result.stdout and "standard deviation" in result.stdout


def test_the_note_on_several_photos_names_an_option_that_pools_them(draw_scores: Any, tmp_path: Path) -> None:
    drawn = draw_scores(products=[i // 4 for i in range(200)])
    photos = int((drawn.split == 1).sum())
    plain = call(drawn.path)
    assert plain.exit_code == 0, plain.output
    (note,) = [line for line in plain.stderr.splitlines() if "observation" in line]
    (option,) = [word for word in note.split() if word.startswith("--")]
    pooled = call(drawn.path, option, "--markdown", tmp_path / "report.md")
    assert pooled.exit_code == 0, pooled.output
    assert f"{photos // 4} products, {photos} photos pooled" in " ".join(pooled.stderr.split())
    assert "products" in pooled.stdout and "images" not in pooled.stdout
    assert f"{photos // 4} products, {photos} photos pooled" in (tmp_path / "report.md").read_text()


def test_hierarchy_and_attributes(draw_scores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scored = {"scored": ("root", "leaf"), "score_attributes": True}
    for seed, (name, options) in enumerate({"ca": scored, "root": {"scored": ("root",)}, "visual": {}}.items()):
        draw_scores(name, seed=seed, out=tmp_path / "scores" / f"{name}.h5", **options)
    result = call("--hierarchy", "--by-attribute")
    assert result.exit_code == 0, result.output
    for text in ("leaf outside root", "hierarchical F", "colour/tone", "MACC-branA", "all rows", "by level"):
        assert text in result.stdout
    assert "gains are percentage points (edges where values are) over visual" in result.stdout
    assert "root: scores of root only; leaf read n/a." in result.stderr


def wrong(result: Result, *expected: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    assert not result.stdout and "Traceback" not in result.output
    for text in expected:
        assert text in result.stderr


def test_no_scores_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong(call(), "scores contains no scores", "prodrec score")


def test_no_such_file(two: list[Path]) -> None:
    wrong(call(two[0], "scores/none.h5"), "scores/none.h5 does not exist")


def test_not_hdf5(two: list[Path], tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("id,label\n1,2\n")
    wrong(call(two[0], "table.csv"), "table.csv", "not an HDF5 file")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated(two: list[Path], share: float) -> None:
    os.truncate(two[1], int(share * two[1].stat().st_size))
    wrong(call(*two), "visual.h5")


def test_scores_of_other_classes(two: list[Path], draw_scores: Any) -> None:
    other = draw_scores("other", prefix="kind").path
    wrong(call(two[0], other), "other.h5 has other classes than", "'kind 0'")


def test_zero_rows_of_the_split(draw_scores: Any) -> None:
    drawn = draw_scores(rows=3)
    empty = next(name for name, code in (("validation", 2), ("test", 1)) if not (drawn.split == code).any())
    wrong(call(drawn.path, "--split", empty), f"no row of split {empty}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "train"], "has no rows of split 'train'"),
        (["--split", "tset"], "did you mean test?"),
        (["--top", "1,x"], "--top 1,x"),
        (["--top", "0"], "--top 0"),
        (["--top", "99"], "--top 99"),
        (["--by-head-tail", "--head-from", "-3"], "--head-from -3"),
        (["--by-head-tail", "--many", "10", "--few", "30"], "--few 30 is above --many 10"),
        (["--few", "-1"], "not negative"),
        (["--csv", "scores"], "is a directory"),
        (["--csv", "report.txt", "--markdown", "report.txt"], "report.txt is named twice"),
        (["--csv", "scores/visual.h5", "--force"], "is one of the score files"),
    ],
)
def test_bad_options(two: list[Path], arguments: list[str], message: str) -> None:
    wrong(call(*arguments), message)


def test_scores_that_are_not_finite(two: list[Path]) -> None:
    import h5py

    with h5py.File(two[0], "a") as file:
        file["scores/leaf"][7, 3] = float("nan")
    wrong(call(), "not finite", "row 21 (id 产品21)")
