"""Comparisons of drawn runs: against the report, and against plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import Mismatch
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.pipeline.compare import compare


def files(draw_scores: Any, families: str, seeds: int, right: dict[str, float] | None = None, **options: Any) -> Any:
    rights = right or {}
    return [
        draw_scores(
            f"{family}-{seed}",
            family=family,
            run_seed=seed,
            seed=10 * i + seed,
            right=rights.get(family, 2.0),
            rows=600,
            **options,
        )
        for i, family in enumerate(families)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("products", [None, [i // 3 for i in range(600)]])
def test_one_seed_agrees_with_the_report_in_every_row(draw_scores: Any, products: Any) -> None:
    paths = [drawn.path for drawn in files(draw_scores, "ab", 1, {"b": 2.6}, products=products)]
    comparison, report = compare(paths), evaluate_scores(paths, tops=[1], by_head_tail=True)
    rows = {(row.group, row.metric): row.cells for row in report.rows if row.section != "many, medium, few"}
    assert len(comparison.differences) == len(rows) == 6
    for difference in comparison.differences:
        first, second = rows[difference.measure.group, difference.measure.metric]
        assert second is not None and second.gain is not None and first is not None
        assert difference.measure.values == ((first.value,), (second.value,))
        assert difference.test.interval == pytest.approx(second.gain.interval)
        low, high = second.gain.interval
        assert (difference.corrected_p < 0.05) == (low > 0 or high < 0)


@pytest.mark.parametrize("seeds", [2, 3])
def test_several_seeds_agree_with_the_report_in_every_row(draw_scores: Any, seeds: int) -> None:
    paths = [drawn.path for drawn in files(draw_scores, "ab", seeds, {"b": 3.0})]
    comparison = compare(paths)
    report = evaluate_scores(paths, tops=[1], by_head_tail=True, mean=True)
    gains = {(row.group, row.metric): row.cells[1].gain for row in report.rows if row.cells[1]}
    assert comparison.names == [f"a ({seeds} seeds)", f"b ({seeds} seeds)"]
    for difference in comparison.differences:
        gain = gains[difference.measure.group, difference.measure.metric]
        assert gain is not None and difference.test.gain == pytest.approx(gain.value)
        assert difference.test.interval == pytest.approx(gain.interval)
        assert (difference.corrected_p < 0.05) == (gain.interval[0] > 0 or gain.interval[1] < 0)
        low, high = difference.test.image_interval
        assert difference.test.interval[0] < low and high < difference.test.interval[1], "seeds widen it"


def test_the_error_over_photos_is_that_of_means_over_seeds(draw_scores: Any) -> None:
    drawn = files(draw_scores, "ab", 3)
    test = drawn[0].split == 1
    right = np.array([one.scores["leaf"][test].argmax(1) == one.labels[test, 1] for one in drawn])
    d = right[3:].mean(0) - right[:3].mean(0)
    difference = compare([one.path for one in drawn]).differences[0]
    half = difference.test.image_interval[1] - difference.test.gain
    assert difference.test.gain == pytest.approx(d.mean())
    assert half / 1.96 == pytest.approx(d.std() / len(d) ** 0.5, rel=0.03), "smoothing adds half an image"
    first = difference.mcnemar[0]
    expected = (0, int((right[3] & ~right[0]).sum()), int((right[0] & ~right[3]).sum()))
    assert (first.seed, first.better, first.worse) == expected


def test_every_pair_is_corrected_and_a_baseline_has_fewer(draw_scores: Any) -> None:
    paths = [drawn.path for drawn in files(draw_scores, "abc", 1)]
    every, some = compare(paths), compare(paths, baseline="b")
    assert every.pairs == 3 and some.pairs == 2
    assert {(d.first, d.second) for d in some.differences} == {(1, 0), (1, 2)}
    of_acc = [d for d in every.differences if d.measure is every.measures[0]]
    p = [d.test.p for d in of_acc]
    assert min(d.corrected_p for d in of_acc) == pytest.approx(min(1, 3 * min(p)))
    assert "after correction" in str(every) and any("3 pairs (Holm)" in note for note in every.notes)


def test_two_ways_to_score_the_same_runs_are_compared_seed_by_seed(draw_scores: Any, tmp_path: Path) -> None:
    """draw_scores makes the fingerprint of a run from its name and seed."""
    plain = [draw_scores("a", family="a", seed=s, run_seed=s, rows=600, out=tmp_path / f"{s}.h5") for s in (0, 1, 2)]
    better = {"rows": 600, "right": 2.4, "family": "b"}
    same = [draw_scores("a", seed=s, run_seed=s, out=tmp_path / f"{s}b.h5", **better) for s in (0, 1, 2)]
    other = [draw_scores("c", seed=s, run_seed=s, out=tmp_path / f"{s}c.h5", **better) for s in (0, 1, 2)]
    paths = [drawn.path for drawn in plain]
    for drawn, is_paired in ((same, True), (other, False)):
        difference = compare([*paths, *(one.path for one in drawn)]).differences[0]
        first, second = (np.array(values) for values in difference.measure.values)
        variance = (second - first).var(ddof=1) if is_paired else first.var(ddof=1) + second.var(ddof=1)
        assert difference.test.seed_error == pytest.approx((variance / 3) ** 0.5)


def test_products_with_several_photos(draw_scores: Any) -> None:
    drawn = files(draw_scores, "ab", 1, products=[i // 3 for i in range(600)])
    paths = [one.path for one in drawn]
    plain, pooled = compare(paths), compare(paths, pool_photos=True)
    assert not plain.differences[0].mcnemar and any("--pool-photos" in note for note in plain.notes)
    assert pooled.units == "products" and pooled.measures[0].images * 3 == plain.measures[0].images


def test_settings_that_differ(draw_scores: Any) -> None:
    a = draw_scores("a", recipe={"network": {"titles": None, "backbone": "x"}})
    b = draw_scores("b", recipe={"network": {"titles": "mean", "backbone": "x"}}, top_k=3)
    settings = compare([a.path, b.path]).settings
    assert settings == {"family": ("a", "b"), "titles": ("none", "mean"), "top_k": ("none", "3")}


def test_other_rows_are_refused(draw_scores: Any) -> None:
    paths = [draw_scores("a").path, draw_scores("b", first_row=1).path]
    with pytest.raises(Mismatch, match="do not contain the same test rows"):
        compare(paths)


def test_only_the_leaves_are_compared(draw_scores: Any) -> None:
    paths = [draw_scores("a").path, draw_scores("b", scored=("root",)).path]
    with pytest.raises(Mismatch, match="no scores of level leaf"):
        compare(paths)


def test_files_have_all_differences(draw_scores: Any, tmp_path: Path) -> None:
    paths = [drawn.path for drawn in files(draw_scores, "ab", 2)]
    comparison = compare(paths, csv=tmp_path / "c.csv", markdown=tmp_path / "c.md")
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[0].startswith("split,group,metric")
    markdown = (tmp_path / "c.md").read_text()
    assert "**b (2 seeds) against a (2 seeds)**" in markdown and "| ACC of all leaves |" in markdown
    assert len(comparison.as_json()["differences"]) == 6
