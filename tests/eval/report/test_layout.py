"""The text of a report: what stands in cells, that tables fit their width, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from prodrec.eval.report.cells import Cell, Gain
from prodrec.eval.report.layout import (
    _style,
    gain_of,
    gain_text,
    left_out,
    tables,
    value_of,
    value_text,
    write_csv,
    write_markdown,
)
from prodrec.eval.report.report import report


def shown(found: Any, width: int) -> str:
    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for table in tables(found, width=width):
        console.print(table)
    return stream.getvalue()


def written(write: Callable[..., None], found: Any) -> str:
    stream = io.StringIO()
    write(found, stream)
    return stream.getvalue()


def test_cells() -> None:
    cell = Cell(0.83406, (0.826, 0.8419), 10, 100)
    assert value_text(cell) == "83.41 [82.6, 84.2]" and gain_text(cell) == ""
    assert value_text(None) == gain_text(None) == "n/a"
    gain = Gain(-0.0061, (-0.012, 0.0001), None, paired=True)
    assert gain_text(Cell(0.8, (0.7, 0.9), 1, 1, gain=gain)) == "-0.61 [-1.2, +0.0]"
    repeats = Cell(0.8, (0.7, 0.9), 1, 1, 0.00314, Gain(1e-9, (-1e-9, 0.01), 0.002, paired=True))
    assert value_text(repeats) == "80.00 ± 0.31 [70.0, 90.0]"
    assert gain_text(repeats) == "+0.00 ± 0.20 [+0.0, +1.0]"


@pytest.mark.parametrize("width", [100, 120, 160])
@pytest.mark.parametrize("runs", [1, 2, 4, 7])
def test_tables_fit_and_hold_every_figure_whole(draw_scores: Any, width: int, runs: int) -> None:
    found = report([draw_scores(f"run {i}", seed=i).path for i in range(runs)], by_head_tail=True, by_root=True)
    text = shown(found, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for row in found.rows[:1]:
        for cell in row.cells:
            assert value_text(cell) in text and gain_text(cell) in text
    assert all(f"run {i}" in text for i in range(runs))
    assert "\x1b" not in text


def test_two_runs_stand_beside_their_gain_where_there_is_room(draw_scores: Any) -> None:
    found = report([draw_scores("a").path, draw_scores("b", seed=1).path])
    cells = found.rows[0].cells
    line = next(line for line in shown(found, 120).splitlines() if value_text(cells[0]) in line)
    assert value_text(cells[1]) in line and gain_text(cells[1]) in line
    narrow = next(line for line in shown(found, 95).splitlines() if value_text(cells[0]) in line)
    assert gain_text(cells[1]) not in narrow and gain_text(cells[1]) in shown(found, 95)


def test_many_leaves_are_not_all_shown(draw_scores: Any) -> None:
    drawn = draw_scores(leaves=120, rows=2000)
    found = report([drawn.path], by_leaf=True)
    leaves = len(set(drawn.labels[drawn.split == 1, 1].tolist()))
    assert 60 < leaves < 120
    assert left_out(found) == [f"{leaves - 60} more leaves stand in --csv and --json."]
    assert any(note.startswith(f"{120 - leaves} leaves without test images are not listed") for note in found.notes)
    assert shown(found, 120).count("class ") == 60
    assert written(write_csv, found).count("by leaf,class ") == leaves * 3


def test_very_many_leaves_stand_in_the_csv_alone(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.eval.report.report.MOST_LEAVES", 70)
    monkeypatch.setattr("prodrec.eval.report.layout.MOST_LEAVES", 70)
    drawn = draw_scores(leaves=120, rows=2000)
    found = report([drawn.path], by_leaf=True)
    images = np.bincount(drawn.labels[drawn.split == 1, 1], minlength=120)
    leaves = np.count_nonzero(images)
    plain = found.as_json()
    listed = [row["cells"]["visual"]["images"] for row in plain["rows"] if row["section"] == "by leaf"]
    assert sorted(listed[::3], reverse=True) == np.sort(images)[::-1][:70].tolist()
    assert plain["leaves_left_out"] == leaves - 70
    assert left_out(found) == [f"{leaves - 60} more leaves stand in --csv, 10 of them in --json."]
    assert f"* {leaves - 70} leaves with fewer test images are left out" in written(write_markdown, found)
    assert written(write_csv, found).count("by leaf,class ") == leaves * 3


def test_many_roots_are_not_all_shown(draw_scores: Any) -> None:
    found = report([draw_scores(leaves=260, roots=220, rows=3000).path], by_root=True)
    assert left_out(found) == ["21 more roots stand in --csv and --json."]  # and the mean over roots is shown
    assert shown(found, 120).count("  root ") == 199


def test_csv_is_tidy(draw_scores: Any) -> None:
    found = report([draw_scores("a").path, draw_scores("b", seed=1).path], by_head_tail=True)
    rows = list(csv.DictReader(io.StringIO(written(write_csv, found))))
    assert len(rows) == 2 * len(found.rows)
    for line, (row, column) in zip(rows, [(r, c) for r in found.rows for c in range(2)], strict=True):
        cell = row.cells[column]
        assert line["run"] == found.columns[column].name and int(line["top"]) == row.top
        if cell is None:
            assert line["value"] == line["gain"] == "" and line["images"] == "0"
            continue
        assert float(line["value"]) == pytest.approx(100 * cell.value, abs=1e-3)
        assert (line["gain"] == "") == (column == 0)


def test_markdown_is_like_the_papers_tables(draw_scores: Any) -> None:
    found = report([draw_scores("a").path, draw_scores("b|c", seed=1).path], by_head_tail=True)
    lines = written(write_markdown, found).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1, "every line has the same cells"
    top1, top3 = found.rows[0].cells[0], found.rows[1].cells[0]
    assert top1 and top3 and f"{100 * top1.value:.2f} ({100 * top3.value:.2f}) [" in table[2]
    assert "b\\|c" in table[0]


@pytest.mark.parametrize("width", [80, 100])
def test_narrow_terminals_do_not_cut_figures(predicted: Any, width: int) -> None:
    truth, leaf = [0, 0, 3, 2], [0, 2, 3, 2]
    attributes = {"colour": ([1, 2, 1, 0], [0, 1, 0, 0])}
    files = [predicted(n, truth, {"root": [0, 0, 1, 0], "leaf": leaf}, attributes=attributes) for n in ("a", "b", "c")]
    found = report(files, hierarchy=True, by_attribute=True, by_level=True)
    text = shown(found, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for row in found.rows[:1]:
        assert all(part in text for part in value_text(row.cells[0]).replace(" [", "|[").split("|"))
    for name in ("leaf outside root", "distance of mistakes", "by attribute", "ACC-branA"):
        assert any(name in line for line in text.splitlines()), name


def test_edges_and_what_is_better(predicted: Any) -> None:
    truth = [0, 0, 3, 3] * 30
    worse, right = [2, 4, 3, 0] * 30, [0, 0, 3, 3] * 30
    found = report([predicted(n, truth, {"leaf": leaf}) for n, leaf in (("a", worse), ("b", right))], hierarchy=True)
    rows = {row.group: row for row in found.rows if row.section == "hierarchy"}
    assert value_of(rows["distance"], 0).startswith("2.000 [") and gain_of(rows["distance"], 1).startswith("-2.000 [")
    assert _style(rows["distance"], 1) == _style(rows["full path right"], 1) == "green"
    assert value_of(rows["leaf outside root"], 1) == gain_of(rows["leaf outside root"], 1) == "n/a"
    line = next(line for line in written(write_csv, found).splitlines() if ",distance," in line and ",b," in line)
    assert line.endswith(",edges,lower") and ",0.0," in line
    text = written(write_markdown, found)
    assert "| distance, edges | 2 of 5 | 120 | 2.000 [" in text and text.startswith("Accuracy in percent on the test")


def test_gain_over_nothing_reads_na(draw_scores: Any) -> None:
    found = report([draw_scores("root", scored=("root",)).path, draw_scores("leaf").path])
    assert value_of(found.rows[0], 0) == gain_of(found.rows[0], 1) == "n/a" != value_of(found.rows[0], 1)
