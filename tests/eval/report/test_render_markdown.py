"""Markdown: one table in the style of the papers', and notes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from prodrec.eval.report import render_markdown
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.render_markdown import write_markdown


def written(report: Any) -> str:
    stream = io.StringIO()
    write_markdown(report, stream)
    return stream.getvalue()


def test_markdown_is_like_the_papers_tables(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b|c", seed=1).path], by_head_tail=True)
    lines = written(report).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1, "every line has the same cells"
    top1, top3 = report.rows[0].cells[0], report.rows[1].cells[0]
    assert top1 and top3 and f"{100 * top1.value:.2f} ({100 * top3.value:.2f}) [" in table[2]
    assert "b\\|c" in table[0]


def test_omitted_leaves_are_noted(draw_scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.eval.report.report.MOST_LEAVES", 70)
    drawn = draw_scores(leaves=120, rows=2000)
    leaves = np.count_nonzero(np.bincount(drawn.labels[drawn.split == 1, 1], minlength=120))
    text = written(evaluate_scores([drawn.path], by_leaf=True))
    assert f"* {leaves - 70} leaves with fewer test images are omitted" in text


def test_distances_are_in_edges(predicted: Any) -> None:
    truth = [0, 0, 3, 3] * 30
    worse, right = [2, 4, 3, 0] * 30, [0, 0, 3, 3] * 30
    files = [predicted(name, truth, {"leaf": leaf}) for name, leaf in (("a", worse), ("b", right))]
    text = written(evaluate_scores(files, hierarchy=True))
    assert "| distance, edges | 2 of 5 | 120 | 2.000 [" in text and text.startswith("Accuracy in percent on the test")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", "a\\|b"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("[here](http://x)", "\\[here\\](http://x)"),
        ("*new* `code` a_b", "\\*new\\* \\`code\\` a_b"),
        ("two\nlines", "two lines"),
    ],
)
def test_names_are_shown_as_they_are(name: str, shown: str) -> None:
    assert render_markdown.escape_markdown(name) == shown
