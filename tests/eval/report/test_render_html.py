"""HTML: every shown number in one table, escaped names, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.render_html import render_html
from prodrec.eval.report.row_text import format_gain, format_value


def texts(element: ElementTree.Element) -> list[str]:
    return ["".join(child.itertext()) for child in element]


def parsed(html: str) -> ElementTree.Element:
    """Parse the HTML as XML, in which an empty element has a slash."""
    return ElementTree.fromstring(html.replace("<br>", "<br/>"))


def test_the_table_contains_every_number(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", seed=1).path], by_head_tail=True)
    page = parsed(render_html(report))
    header, *lines = [texts(line) for line in page.iter("tr")]
    assert header == ["test split", "percent", "classes", "images", "a", "b", "gain of b"]
    first, second = report.rows[0].cells
    assert lines[0][4:] == [format_value(first), format_value(second), format_gain(second)]
    assert lines[0][:2] == ["all", "ACC top-1"] and lines[1][0] == "", "a group is named once"
    assert ["head and tail"] in lines
    widths = [sum(int(cell.get("colspan", 1)) for cell in line) for line in page.iter("tr")]
    assert set(widths) == {len(header)}, "every line fills the table"


def test_names_are_escaped(draw_scores: Any) -> None:
    name = "<script>alert('a & \"b\"')</script>"
    path = draw_scores("plain").path
    report = evaluate_scores([draw_scores(name, out=path.with_name("a.h5")).path, path])
    html = render_html(report)
    assert "<script" not in html and "a &amp; " in html
    assert name in texts(next(parsed(html).iter("tr")))


def test_nothing_is_loaded_from_elsewhere(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", seed=1).path])
    assert not re.search(r"https?:|src=|href=|url\(|@import|<link|<script|<style", render_html(report))


def test_notes_and_legend_follow_the_table(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", first_row=1).path])
    page = parsed(render_html(report))
    assert [item.text for item in page.iter("li")] == list(report.notes)
    assert "gains are percentage points over a" in "".join(next(page.iter("p")).itertext())


def test_better_and_worse_gains_have_a_colour(predicted: Any) -> None:
    truth = [0, 0, 3, 3] * 30
    worse, right = [2, 4, 3, 0] * 30, [0, 0, 3, 3] * 30
    files = [predicted(name, truth, {"leaf": leaf}) for name, leaf in (("a", worse), ("b", right))]
    better = render_html(evaluate_scores(files, tops=[1]))
    assert "#1a7f37" in better and "#cf222e" not in better
    assert "#cf222e" in render_html(evaluate_scores(files[::-1], tops=[1]))
