"""The hierarchy section of a report has the values computed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.intervals import wilson_interval
from prodrec.eval.report.report import Report

Write = Callable[..., Path]
TRUTH = [0, 0, 0, 0, 3, 3, 4, 2]
LEAF = [0, 1, 2, 4, 3, 3, 4, 2]  # distances 0 1 2 3 0 0 0 0
ROOT = [0, 0, 1, 1, 0, 1, 1, 0]  # conflicts with the leaf in rows 2 and 4
BETTER = [0, 0, 1, 0, 3, 3, 4, 2]  # distances 0 0 1 0 0 0 0 0


def cell(report: Report, group: str, column: int = 0) -> Any:
    rows = [row for row in report.rows if (row.section, row.group) == ("hierarchy", group)]
    assert len(rows) == 1, [row.group for row in report.rows if row.section == "hierarchy"]
    return rows[0].cells[column]


@pytest.mark.parametrize("top_k", [None, 2])
def test_values_of_a_run_with_two_levels(predicted: Write, top_k: int | None) -> None:
    report = evaluate_scores([predicted("rl", TRUTH, {"root": ROOT, "leaf": LEAF}, top_k=top_k)], hierarchy=True)
    path, outside = cell(report, "full path right"), cell(report, "leaf outside root")
    assert path.value == pytest.approx(4 / 8) and path.images == 8 and path.classes == 4
    assert path.interval == pytest.approx(wilson_interval(4 / 8, 8))
    assert outside.value == pytest.approx(2 / 8) and outside.interval == pytest.approx(wilson_interval(2 / 8, 8))
    assert cell(report, "middle outside root") is None and cell(report, "leaf outside middle") is None
    # values are fractions of the three edges
    assert cell(report, "distance").value * 3 == pytest.approx(6 / 8)
    mistakes = cell(report, "distance of mistakes")
    assert mistakes.value * 3 == pytest.approx(2.0) and mistakes.images == 3
    assert mistakes.interval[0] >= 1 / 3 and mistakes.interval[1] <= 1
    # true and predicted paths have 24 classes each and share 3 + 2 + 1 + 0 + 4 · 3
    assert cell(report, "hierarchical F").value == pytest.approx(18 / 24)
    rows = {row["group"]: row for row in report.as_json()["rows"] if row["section"] == "hierarchy"}
    assert rows["distance"]["unit"] == "edges" and rows["distance"]["better"] == "lower"
    assert rows["distance"]["cells"]["rl"]["value"] == 0.75
    assert rows["hierarchical F"]["cells"]["rl"]["value"] == 75 and rows["hierarchical F"]["better"] == "higher"
    json.dumps(report.as_json(), allow_nan=False)


def test_gains_are_paired(predicted: Write) -> None:
    first = predicted("rl", TRUTH, {"root": ROOT, "leaf": LEAF})
    second = predicted("leaf", TRUTH, {"leaf": BETTER})
    report = evaluate_scores([first, second], hierarchy=True)
    gain = cell(report, "distance", 1).gain
    assert gain.paired and gain.value * 3 == pytest.approx(1 / 8 - 6 / 8)
    assert gain.interval[0] < gain.value < gain.interval[1]
    mistakes = cell(report, "distance of mistakes", 1).gain
    assert mistakes.paired and mistakes.value * 3 == pytest.approx(1 - 2)
    assert cell(report, "full path right", 1).value == pytest.approx(7 / 8)
    assert cell(report, "leaf outside root", 1) is None, "the run scored no root of its own"
    other = predicted("other", TRUTH, {"leaf": BETTER}, first_row=5)
    unpaired = cell(evaluate_scores([first, other], hierarchy=True), "distance", 1).gain
    assert not unpaired.paired and unpaired.value == pytest.approx(gain.value)


def test_a_run_without_mistakes_or_leaves(predicted: Write) -> None:
    right = predicted("right", TRUTH, {"leaf": TRUTH})
    root = predicted("root", TRUTH, {"root": ROOT})
    report = evaluate_scores([right, root], hierarchy=True)
    assert cell(report, "distance").value == 0 and cell(report, "hierarchical F").value == 1
    assert cell(report, "distance of mistakes") is None
    assert all(row.cells[1] is None for row in report.rows if row.section == "hierarchy")
    assert any("root: scores of root only; middle, leaf read n/a" in note for note in report.notes)


def test_spread_over_seeds(predicted: Write) -> None:
    files = [
        predicted(name, TRUTH, {"leaf": leaf}, seed=seed)
        for name, leaves in (("a", (LEAF, BETTER)), ("b", (BETTER, TRUTH)))
        for seed, leaf in enumerate(leaves)
    ]
    report = evaluate_scores(files, hierarchy=True, mean=True)
    first, second = (cell(report, "distance", column) for column in (0, 1))
    assert first.value * 3 == pytest.approx(np.mean([6 / 8, 1 / 8]))
    assert first.spread * 3 == pytest.approx(np.std([6 / 8, 1 / 8], ddof=1))
    assert second.gain.spread * 3 == pytest.approx(np.std([-5 / 8, -1 / 8], ddof=1)) and second.gain.paired
    # one of its two runs has no mistake
    assert cell(report, "distance of mistakes", 1) is None


def test_gains_over_seeds_have_the_interval_of_the_accuracy(draw_scores: Any) -> None:
    """Leaves alone are scored, so a full path is right if the leaf is; the smoothing differs by parts of an image."""
    files = [
        draw_scores(f"{name}-{seed}", family=name, run_seed=seed, seed=10 * i + seed, rows=600).path
        for i, name in enumerate("ab")
        for seed in range(3)
    ]
    report = evaluate_scores(files, hierarchy=True, mean=True, tops=[1])
    accuracy = next(row.cells[1] for row in report.rows if row.section == "overall" and row.metric == "ACC")
    path = cell(report, "full path right", 1)
    assert accuracy is not None and accuracy.gain is not None and path.gain.paired
    assert path.gain.interval == pytest.approx(accuracy.gain.interval, abs=1e-3)


def test_one_level_has_no_hierarchy(draw_scores: Any, tmp_path: Path) -> None:
    from prodrec.core.base.taxonomy import Taxonomy
    from prodrec.core.scores.schema import Origin
    from prodrec.core.scores.writer import ScoresWriter

    flat = Taxonomy(levels=("leaf",), names=(("x", "y"),), parents=(np.array([-1, -1], dtype=np.int32),))
    path = tmp_path / "flat.h5"
    origin = Origin(run="flat", family="flat", made_from={}, splits=("test",))
    with ScoresWriter(path, origin=origin, taxonomy=flat, train_images=[1, 1], id_bytes=2) as writer:
        writer.append(
            ids=["a"], rows_B=[0], split_B=[1], labels_BL=[[0]], features_BD=[[0.0]], scores={"leaf": [[1.0, 0.0]]}
        )
    with pytest.raises(BadOption, match="--hierarchy: the classes have one level"):
        evaluate_scores([path], hierarchy=True)
