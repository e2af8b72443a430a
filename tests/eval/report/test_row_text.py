"""Texts of values and gains: digits, signs, units and n/a."""

from __future__ import annotations

from typing import Any

from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.row_text import format_gain, format_value, gain_direction, gain_text, value_text
from prodrec.eval.report.table import Cell, Gain


def test_values_and_gains() -> None:
    cell = Cell(0.83406, (0.826, 0.8419), 10, 100)
    assert format_value(cell) == "83.41 [82.6, 84.2]" and format_gain(cell) == ""
    assert format_value(None) == format_gain(None) == "n/a"
    gain = Gain(-0.0061, (-0.012, 0.0001), None, paired=True)
    assert format_gain(Cell(0.8, (0.7, 0.9), 1, 1, gain=gain)) == "-0.61 [-1.2, +0.0]"
    repeats = Cell(0.8, (0.7, 0.9), 1, 1, 0.00314, Gain(1e-9, (-1e-9, 0.01), 0.002, paired=True))
    assert format_value(repeats) == "80.00 ± 0.31 [70.0, 90.0]"
    assert format_gain(repeats) == "+0.00 ± 0.20 [+0.0, +1.0]"


def test_edges_have_three_decimals_and_fewer_are_better(predicted: Any) -> None:
    truth = [0, 0, 3, 3] * 30
    worse, right = [2, 4, 3, 0] * 30, [0, 0, 3, 3] * 30
    files = [predicted(name, truth, {"leaf": leaf}) for name, leaf in (("a", worse), ("b", right))]
    report = evaluate_scores(files, hierarchy=True)
    rows = {row.group: row for row in report.rows if row.section == "hierarchy"}
    distance, path, outside = rows["distance"], rows["full path right"], rows["leaf outside root"]
    assert value_text(distance, 0).startswith("2.000 [") and gain_text(distance, 1).startswith("-2.000 [")
    assert gain_direction(distance, 1) == gain_direction(path, 1) == "better"
    assert value_text(outside, 1) == gain_text(outside, 1) == "n/a"


def test_a_gain_over_a_missing_value_is_na(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("root", scored=("root",)).path, draw_scores("leaf").path])
    assert value_text(report.rows[0], 0) == gain_text(report.rows[0], 1) == "n/a" != value_text(report.rows[0], 1)
