"""Rows whose category path ends early are counted at the levels at which they have a label, by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.plots.report_plots import draw_plots
from prodrec.eval.report.end_classes import EndClasses
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.render_csv import write_csv
from prodrec.eval.report.report import Report
from prodrec.eval.report.report_notes import early_end_notes

Write = Callable[..., Path]

TRUTH = [0, 0, 2, 3, 4, 4, 1, 3]
DEPTHS = [3, 3, 3, 3, 2, 1, 1, 1]  # rows 4 to 7 have no leaf; row 4 ends at c, row 5 and 7 at B, row 6 at A
LEAF = [0, 1, 2, 3, 0, 0, 0, 0]  # right, wrong, right, right
MIDDLE = [0, 0, 1, 0, 2, 0, 0, 0]  # right, right, right, wrong, right
ROOT = [0, 1, 0, 1, 1, 1, 0, 0]  # wrong in rows 1 and 7
BEST = {"root": ROOT, "middle": MIDDLE, "leaf": LEAF}


def cell(report: Report, section: str, group: str, metric: str = "ACC") -> Any:
    rows = [row for row in [*report.rows, *report.leaf_rows] if (row.section, row.group) == (section, group)]
    return next(row for row in rows if (row.metric, row.top) == (metric, 1)).cells[0]


def test_numbers_of_end_classes(tree: Taxonomy) -> None:
    ends = EndClasses(tree)
    labels_RL = np.array([[1, 2, 4], [0, 1, -1], [1, -1, -1]], dtype=np.int32)
    assert len(ends) == 5 + 3 + 2 and ends.of_rows(labels_RL).tolist() == [4, 5 + 1, 5 + 3 + 1]
    assert ends.ancestors_EL[[4, 6, 9]].tolist() == labels_RL.tolist()
    assert [len(ends.with_level(depth)) for depth in range(3)] == [10, 8, 5]
    assert ends.images_by_level(np.arange(10)) == {"root": 8 + 9, "middle": 5 + 6 + 7, "leaf": 10}
    for depth in range(3):
        assert (ends.ancestors_EL[ends.with_level(depth), depth] >= 0).all()
        assert (ends.ancestors_EL[len(ends.with_level(depth)) :, depth] == -1).all()
    assert ends.of_rows(labels_RL[:1]).tolist() == [4] and labels_RL[1, 2] == -1


@pytest.mark.parametrize("top_k", [None, 2])
def test_every_section_counts_the_rows_with_a_label(predicted: Write, tmp_path: Path, top_k: int | None) -> None:
    report = evaluate_scores(
        [predicted("run", TRUTH, BEST, depths=DEPTHS, top_k=top_k)],
        tops=[1],
        by_head_tail=True,
        by_root=True,
        by_level=True,
        by_leaf=True,
        hierarchy=True,
    )
    overall = cell(report, "overall", "all")
    assert (overall.value, overall.images, overall.classes) == (3 / 4, 4, 3)
    assert cell(report, "overall", "all", "MACC").value == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert cell(report, "head and tail", "tail (< 100)") == overall
    in_a, in_b = cell(report, "by root", "A"), cell(report, "by root", "B")
    assert (in_a.value, in_a.images, in_b.value, in_b.images) == (pytest.approx(2 / 3), 3, 1, 1)
    by_level = {level: cell(report, "by level", level) for level in ("root", "middle", "leaf")}
    assert {level: one.images for level, one in by_level.items()} == {"root": 8, "middle": 5, "leaf": 4}
    assert [by_level[level].value for level in by_level] == pytest.approx([6 / 8, 4 / 5, 3 / 4])
    macc = [cell(report, "by level", level, "MACC").value for level in by_level]
    # root: A 3 of 4, B 3 of 4; middle: a 2 of 2, b 1 of 1, c 1 of 2
    assert macc == pytest.approx([3 / 4, (1 + 1 + 1 / 2) / 3, (1 / 2 + 1 + 1) / 3])
    path = cell(report, "hierarchy", "full path right")
    assert (path.value, path.images, path.classes) == (2 / 4, 4, 3)  # the middle of row 3 is wrong
    assert [row.group for row in report.leaf_rows] == ["0", "2", "3"]
    assert report.notes[0] == (
        "4 of 8 test images have no leaf: their category paths end above it (3 at root, 1 at middle). An image is "
        "counted at the levels at which it has a label."
    )
    assert report.notes[1] == "The hierarchy section counts the images with a leaf only."
    pooled = early_end_notes(report.builder.counts, report.taxonomy, "test", hierarchy=True, pool_photos=True)
    assert pooled[0].startswith("4 of 8 test products have no leaf") and "A product is counted at" in pooled[0]
    assert pooled[1] == "The hierarchy section counts the products with a leaf only."
    run = report.as_json()["columns"][0]["runs"][0]
    assert run["rows"] == 8 and run["rows_by_level"] == {"root": 8, "middle": 5, "leaf": 4}
    write_csv(report, io.StringIO())
    assert str(report) and report._repr_html_() and draw_plots(report, tmp_path / "plots")


def test_a_run_of_leaves_is_evaluated_at_a_root_without_leaves_below(predicted: Write) -> None:
    """The root of a row that ends there is evaluated by the summed probabilities, as any other."""
    report = evaluate_scores([predicted("run", TRUTH, {"leaf": LEAF}, depths=DEPTHS)], tops=[1], by_level=True)
    root = cell(report, "by level", "root")  # leaves 0, 1 and 2 are under A, 3 and 4 under B
    assert root.images == 8 and root.value == pytest.approx(5 / 8)


def test_pairs_and_attributes(predicted: Write) -> None:
    colour = ([1, 2, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0])
    files = [
        predicted("a", TRUTH, BEST, depths=DEPTHS, attributes={"colour": colour}),
        predicted("b", TRUTH, {**BEST, "leaf": TRUTH, "root": [0, 0, 0, 1, 1, 1, 0, 1]}, depths=DEPTHS,
                  attributes={"colour": colour}),
    ]  # fmt: skip
    report = evaluate_scores(files, tops=[1], by_level=True, by_attribute=True, hierarchy=True)
    gains = [row.cells[1].gain for row in report.rows if row.section == "by level" and row.metric == "ACC"]
    assert [gain.paired for gain in gains] == [True] * 3
    assert [gain.value for gain in gains] == pytest.approx([2 / 8, 0, 1 / 4])
    by_state = cell(report, "by attribute", "colour", "ACC-branA")
    by_leaf = cell(report, "by attribute", "colour", "ACC-branC")
    assert (by_state.images, by_leaf.images) == (3, 2) and by_leaf.value == 1 / 2

    complete = predicted("c", TRUTH, BEST)
    unpaired = evaluate_scores([files[0], complete], tops=[1])
    assert not unpaired.rows[0].cells[1].gain.paired, "the same rows with other labels are not compared row by row"
    assert "other products" in unpaired.notes[0]


def test_a_split_without_a_leaf(predicted: Write, tmp_path: Path) -> None:
    path = predicted("run", TRUTH, BEST, depths=[1, 2] * 4)
    report = evaluate_scores([path], by_root=True, by_level=True, by_leaf=True, by_head_tail=True, hierarchy=True)
    assert cell(report, "overall", "all") is None and cell(report, "hierarchy", "distance", "edges") is None
    assert cell(report, "by level", "root").images == 8 and cell(report, "by level", "middle").images == 4
    assert not list(report.leaf_rows) and "n/a" in str(report) and draw_plots(report, tmp_path / "plots")


def test_labels_without_gaps_have_no_note(predicted: Write) -> None:
    report = evaluate_scores([predicted("run", TRUTH, BEST)], hierarchy=True)
    assert not any("no leaf" in note or "with a leaf" in note for note in report.notes)
    assert "rows_by_level" not in report.as_json()["columns"][0]["runs"][0]
