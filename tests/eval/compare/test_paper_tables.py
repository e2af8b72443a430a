"""Tables in the shape of the papers: rows and columns by the recipes of the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.eval.compare.contents import TextTable
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.pipeline.compare import compare


def network(titles: str | None = None, heads: tuple[str, ...] = ("leaf",), attributes: Any = ("all",)) -> Any:
    return {"network": {"titles": titles, "heads": list(heads), "attributes": list(attributes)}}


def table(name: str, paths: list[Path]) -> TextTable:
    (drawn,) = compare(paths, table=name).tables
    return drawn


@pytest.fixture
def encoders(draw_scores: Any) -> list[Path]:
    """A title encoder before the baseline, and another one."""
    recipes = {"sicot": "bilinear", "visual": None, "sicot-mean": "mean"}
    return [draw_scores(name, seed=i, recipe=network(titles)).path for i, (name, titles) in enumerate(recipes.items())]


def test_a2_has_top_1_and_top_3_and_the_gain_of_the_report(encoders: list[Path]) -> None:
    shown = table("a2", encoders)
    assert shown.header == ("", "baseline (visual)", "co-training (sicot)", "gain", "co-training (sicot-mean)", "gain")
    report = evaluate_scores([encoders[1], encoders[0]], tops=[1, 3])
    first, third = (next(r for r in report.rows if r.metric == "ACC" and r.top == k).cells for k in (1, 3))
    assert first[0] and third[0] and first[1] and first[1].gain
    assert shown.rows[0][1] == f"{100 * first[0].value:.2f} ({100 * third[0].value:.2f})"
    assert shown.rows[0][3].startswith(f"{100 * first[1].gain.value:+.2f} [")


def test_a3_has_a_row_for_every_encoder(encoders: list[Path]) -> None:
    rows = table("a3", encoders).rows
    assert [row[0] for row in rows] == [
        "baseline (visual)",
        "mean pooling (sicot-mean)",
        "bi-LSTM",
        "bi-LSTM attention",
        "bilinear word attention (sicot)",
    ]
    assert rows[2] == ("bi-LSTM", "–", "–") and "[" in rows[4][2]


def test_a4_has_head_and_tail(encoders: list[Path]) -> None:
    assert [row[0] for row in table("a4", encoders).rows] == ["head (≥ 100)", "tail (< 100)"]


def test_s1_has_the_eight_approaches(draw_scores: Any) -> None:
    paths = [draw_scores(name, seed=i, recipe=network()).path for i, name in enumerate(["ssmtl-ca", "bcnn"])]
    shown = table("s1", paths)
    assert shown.header[1:] == ("bcnn", "sscnn", "bcnn-mcr", "sscnn-mcr", "bmtl-rl", "bmtl-ca", "ssmtl-rl", "ssmtl-ca")
    assert [row[0] for row in shown.rows] == ["ACC top-1", "ACC top-5", "MACC top-1", "MACC top-5"]
    assert shown.rows[0][2] == "–" and float(shown.rows[0][1]) > 0 and float(shown.rows[0][8]) > 0


def test_s2_has_single_attributes_and_all(draw_scores: Any) -> None:
    heads = ("leaf", "attributes")
    single = draw_scores("one", recipe=network(heads=heads, attributes=["colour/tone"]), score_attributes=True)
    joint = draw_scores("all", seed=1, recipe=network(heads=heads), score_attributes=True)
    shown = table("s2", [single.path, joint.path])
    assert shown.header == ("", "colour/tone", "all")
    assert [row[0] for row in shown.rows] == ["ACC-branA", "ACC-branC", "MACC-branC"]
    assert shown.rows[0][2] == "–" and float(shown.rows[0][1]) > 0 and float(shown.rows[2][2]) > 0


@pytest.mark.parametrize(("titles", "named"), [(None, "prodrec train sicot"), ("mean", "prodrec train visual")])
def test_a_table_without_its_runs_names_the_missing_one(draw_scores: Any, titles: str | None, named: str) -> None:
    paths = [draw_scores(name, seed=i, recipe=network(titles)).path for i, name in enumerate("ab")]
    with pytest.raises(BadOption, match=named):
        compare(paths, table="a2")


def test_no_such_table(encoders: list[Path]) -> None:
    with pytest.raises(BadOption, match="expected one of a2, a3, a4, s1, s2"):
        compare(encoders, table="a5")
