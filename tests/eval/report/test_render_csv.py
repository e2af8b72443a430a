"""CSV: one line for every cell, with all leaves."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.render_csv import write_csv


def written(report: Any) -> str:
    stream = io.StringIO()
    write_csv(report, stream)
    return stream.getvalue()


def test_csv_is_tidy(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", seed=1).path], by_head_tail=True)
    rows = list(csv.DictReader(io.StringIO(written(report))))
    assert len(rows) == 2 * len(report.rows)
    for line, (row, column) in zip(rows, [(r, c) for r in report.rows for c in range(2)], strict=True):
        cell = row.cells[column]
        assert line["run"] == report.run_groups[column].name and int(line["top"]) == row.top
        if cell is None:
            assert line["value"] == line["gain"] == "" and line["images"] == "0"
            continue
        assert float(line["value"]) == pytest.approx(100 * cell.value, abs=1e-3)
        assert (line["gain"] == "") == (column == 0)


def test_all_leaves_are_written(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.eval.report.report.MOST_LEAVES", 70)
    drawn = draw_scores(leaves=120, rows=2000)
    leaves = np.count_nonzero(np.bincount(drawn.labels[drawn.split == 1, 1], minlength=120))
    assert written(evaluate_scores([drawn.path], by_leaf=True)).count("by leaf,class ") == leaves * 3


def test_every_line_names_its_unit_and_the_better_direction(predicted: Any) -> None:
    truth = [0, 0, 3, 3] * 30
    worse, right = [2, 4, 3, 0] * 30, [0, 0, 3, 3] * 30
    files = [predicted(name, truth, {"leaf": leaf}) for name, leaf in (("a", worse), ("b", right))]
    text = written(evaluate_scores(files, hierarchy=True))
    line = next(line for line in text.splitlines() if ",distance," in line and ",b," in line)
    assert line.endswith(",edges,lower") and ",0.0," in line
