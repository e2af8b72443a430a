"""A report prints as plain text, and shows as HTML in notebooks."""

from __future__ import annotations

from typing import Any

import pytest

from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.report import Report
from prodrec.eval.report.row_text import format_gain, format_value


@pytest.fixture
def report(draw_scores: Any) -> Report:
    return evaluate_scores([draw_scores("a").path, draw_scores("b", first_row=1).path], by_root=True)


def test_print_shows_the_tables_their_legend_and_the_notes(report: Report) -> None:
    text = str(report)
    for cell in report.rows[0].cells:
        assert format_value(cell) in text and format_gain(cell) in text
    for part in ("test split", "mean over roots", "root 2", "[95 % interval]", "percentage points over a"):
        assert part in text
    assert report.notes and text.endswith("\n".join(report.notes))
    assert "\x1b" not in text and not any(line.endswith(" ") for line in text.splitlines())


def test_print_counts_the_rows_that_it_omits(draw_scores: Any) -> None:
    drawn = draw_scores(leaves=260, roots=220, rows=3000)
    report = evaluate_scores([drawn.path], by_root=True, by_leaf=True)
    leaves = len(set(drawn.labels[drawn.split == 1, 1].tolist()))
    assert "21 more roots are not shown." in str(report)
    assert f"{leaves - 60} more leaves are not shown." in str(report)


def test_repr_is_one_line(report: Report) -> None:
    assert repr(report) == f"<Report of a, b on the test split: {len(report.rows)} rows, 0 of leaves>"


def test_notebooks_show_the_html(report: Report) -> None:
    assert report._repr_html_().count("<table>") == 1
