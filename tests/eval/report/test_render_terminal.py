"""Tables for the terminal: they fit its width, and show whole numbers and the largest groups."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.render_terminal import hidden_row_hints, terminal_tables
from prodrec.eval.report.row_text import format_gain, format_value


def shown(report: Any, width: int) -> str:
    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for table in terminal_tables(report, width=width):
        console.print(table)
    return stream.getvalue()


@pytest.mark.parametrize("width", [100, 120, 160])
@pytest.mark.parametrize("runs", [1, 2, 4, 7])
def test_tables_fit_and_cut_no_number(draw_scores: Any, width: int, runs: int) -> None:
    report = evaluate_scores(
        [draw_scores(f"run {i}", seed=i).path for i in range(runs)], by_head_tail=True, by_root=True
    )
    text = shown(report, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for row in report.rows[:1]:
        for cell in row.cells:
            assert format_value(cell) in text and format_gain(cell) in text
    assert all(f"run {i}" in text for i in range(runs))
    assert "\x1b" not in text


def test_a_gain_is_beside_its_value_if_there_is_room(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", seed=1).path])
    cells = report.rows[0].cells
    line = next(line for line in shown(report, 120).splitlines() if format_value(cells[0]) in line)
    assert format_value(cells[1]) in line and format_gain(cells[1]) in line
    narrow = next(line for line in shown(report, 95).splitlines() if format_value(cells[0]) in line)
    assert format_gain(cells[1]) not in narrow and format_gain(cells[1]) in shown(report, 95)


def test_many_leaves_are_not_all_shown(draw_scores: Any) -> None:
    drawn = draw_scores(leaves=120, rows=2000)
    report = evaluate_scores([drawn.path], by_leaf=True)
    leaves = len(set(drawn.labels[drawn.split == 1, 1].tolist()))
    assert 60 < leaves < 120
    assert hidden_row_hints(report) == [f"{leaves - 60} more leaves are in --csv and --json."]
    assert any(note.startswith(f"{120 - leaves} leaves without test images are not listed") for note in report.notes)
    assert shown(report, 120).count("class ") == 60


def test_very_many_leaves_are_not_all_in_json(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.eval.report.report.MOST_LEAVES", 70)
    drawn = draw_scores(leaves=120, rows=2000)
    report = evaluate_scores([drawn.path], by_leaf=True)
    images = np.bincount(drawn.labels[drawn.split == 1, 1], minlength=120)
    leaves = np.count_nonzero(images)
    plain = report.as_json()
    listed = [row["cells"]["visual"]["images"] for row in plain["rows"] if row["section"] == "by leaf"]
    assert sorted(listed[::3], reverse=True) == np.sort(images)[::-1][:70].tolist()
    assert plain["leaves_left_out"] == leaves - 70
    assert hidden_row_hints(report) == [f"{leaves - 60} more leaves are in --csv, 10 of them in --json."]


def test_many_roots_are_not_all_shown(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores(leaves=260, roots=220, rows=3000).path], by_root=True)
    assert hidden_row_hints(report) == ["21 more roots are in --csv and --json."]  # and the mean over roots is shown
    assert shown(report, 120).count("  root ") == 199


@pytest.mark.parametrize("width", [80, 100])
def test_narrow_terminals_cut_no_number(predicted: Any, width: int) -> None:
    truth, leaf = [0, 0, 3, 2], [0, 2, 3, 2]
    attributes = {"colour": ([1, 2, 1, 0], [0, 1, 0, 0])}
    files = [predicted(n, truth, {"root": [0, 0, 1, 0], "leaf": leaf}, attributes=attributes) for n in ("a", "b", "c")]
    report = evaluate_scores(files, hierarchy=True, by_attribute=True, by_level=True)
    text = shown(report, width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for row in report.rows[:1]:
        assert all(part in text for part in format_value(row.cells[0]).replace(" [", "|[").split("|"))
    for name in ("leaf outside root", "distance of mistakes", "by attribute", "ACC-branA"):
        assert any(name in line for line in text.splitlines()), name
