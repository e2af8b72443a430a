"""The attribute section of a report (S table 2) has the values computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.report import Report

Write = Callable[..., Path]
TRUTH = [0, 0, 0, 1, 1, 3]
LEAF = [0, 0, 1, 1, 0, 3]
CODES = [1, 1, 1, 2, 0, 0]  # colour: red red red green, two rows without
STATES = [0, 1, 0, 1, 0, 1]  # right, wrong, right, right


def cell(report: Report, group: str, metric: str, column: int = 0) -> Any:
    rows = [row for row in report.rows if (row.section, row.group, row.metric) == ("by attribute", group, metric)]
    assert len(rows) == 1
    return rows[0].cells[column]


def ca(predicted: Write, name: str = "ca", *, leaf: list[int] = LEAF, states: Any = STATES, **more: Any) -> Path:
    return predicted(name, TRUTH, {"leaf": leaf}, attributes={"colour": (CODES, states)}, **more)


@pytest.mark.parametrize("top_k", [None, 1])
def test_values_computed_by_hand(predicted: Write, top_k: int | None) -> None:
    report = evaluate_scores([ca(predicted, top_k=top_k)], by_attribute=True)
    acc, macc = cell(report, "colour", "ACC-branA"), cell(report, "colour", "MACC-branA")
    assert acc.value == pytest.approx(3 / 4) and (acc.images, acc.classes) == (4, 2)
    assert macc.value == pytest.approx((2 / 3 + 1) / 2)
    # rows with a colour: leaf 0 is right in two of three, leaf 1 in one of one
    acc, macc = cell(report, "colour", "ACC-branC"), cell(report, "colour", "MACC-branC")
    assert acc.value == pytest.approx(3 / 4) and (acc.images, acc.classes) == (4, 2)
    assert macc.value == pytest.approx((2 / 3 + 1) / 2)
    assert cell(report, "all rows", "ACC-branC").value == pytest.approx(4 / 6)
    assert cell(report, "all rows", "MACC-branC").value == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_all_rows_do_not_need_top_1(predicted: Write) -> None:
    report = evaluate_scores([ca(predicted)], by_attribute=True, tops=[2])
    assert cell(report, "all rows", "ACC-branC").value == pytest.approx(4 / 6)
    assert {row.top for row in report.rows if row.section == "overall"} == {2}


def test_runs_without_the_branch_have_leaves_all_the_same(predicted: Write) -> None:
    plain = predicted("plain", TRUTH, {"leaf": TRUTH}, attributes={"colour": (CODES, None)})
    report = evaluate_scores([plain, ca(predicted)], by_attribute=True)
    assert cell(report, "colour", "ACC-branA") is None and cell(report, "colour", "ACC-branA", 1).value == 3 / 4
    assert cell(report, "colour", "ACC-branA", 1).gain is None, "nothing to compare with"
    gain = cell(report, "colour", "ACC-branC", 1).gain
    assert gain.paired and gain.value == pytest.approx(-1 / 4)
    assert not any("no run scored" in note for note in report.notes)
    assert any("no run scored colour" in note for note in evaluate_scores([plain], by_attribute=True).notes)


def test_gain_of_the_attribute_branch_is_paired(predicted: Write) -> None:
    report = evaluate_scores([ca(predicted), ca(predicted, "all", states=[0, 0, 0, 1, 1, 1])], by_attribute=True)
    gain = cell(report, "colour", "ACC-branA", 1).gain
    assert gain.paired and gain.value == pytest.approx(1 / 4) and gain.interval[0] < 1 / 4 < gain.interval[1]


def test_an_attribute_without_a_row_reads_na(predicted: Write) -> None:
    path = predicted("a", TRUTH, {"leaf": LEAF}, attributes={"colour": ([0] * 6, STATES), "size": (CODES, [0] * 6)})
    report = evaluate_scores([path], by_attribute=True)
    assert all(cell(report, "colour", m) is None for m in ("ACC-branA", "MACC-branA", "ACC-branC", "MACC-branC"))
    assert cell(report, "size", "ACC-branA").value == 3 / 4
    rows = [row for row in report.as_json()["rows"] if row["group"] == "colour"]
    assert len(rows) == 4 and all(row["cells"] == {"a": None} for row in rows)


def test_attributes_are_reported_by_default_for_a_run_of_attributes_alone(predicted: Write) -> None:
    report = evaluate_scores([predicted("alone", TRUTH, {}, attributes={"colour": (CODES, STATES)})])
    assert cell(report, "colour", "ACC-branA").value == 3 / 4 and cell(report, "colour", "ACC-branC") is None
    assert any("alone: scores of colour only" in note for note in report.notes)


def test_spread_over_seeds(predicted: Write) -> None:
    report = evaluate_scores([ca(predicted), ca(predicted, seed=1, states=[0] * 6)], by_attribute=True, mean=True)
    assert cell(report, "colour", "ACC-branA").value == 3 / 4 and cell(report, "colour", "ACC-branA").spread == 0
    assert cell(report, "colour", "MACC-branA").value == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert cell(report, "colour", "MACC-branA").spread == pytest.approx((5 / 6 - 1 / 2) / 2**0.5)


def test_files_without_attributes_and_with_other_states(predicted: Write, draw_scores: Any) -> None:
    with pytest.raises(BadOption, match="--by-attribute: the score files contain no attributes"):
        evaluate_scores([predicted("none", TRUTH, {"leaf": LEAF})], by_attribute=True)
    from prodrec.core.base.taxonomy import Attribute
    from prodrec.core.scores.reader import open_scores
    from prodrec.eval.report.attribute_table import known_attributes

    with open_scores(ca(predicted)) as one, open_scores(ca(predicted, "b")) as two:
        two.attributes = (Attribute("colour", ("red", "green", "blue")),)
        with pytest.raises(Mismatch, match=r"attribute colour has other states in .*b-0\.h5 \(3\)"):
            known_attributes([one, two])
