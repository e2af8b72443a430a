"""Reports equal plain loops, note what may be misread, and refuse what cannot be evaluated."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.eval.report.find_scores import find_scores
from prodrec.eval.report.intervals import unpaired_gain_interval, wilson_interval
from prodrec.eval.report.leaf_groups import Thresholds
from prodrec.eval.report.report import Report


def cell(
    report: Report,
    *,
    group_index: int = 0,
    section: str = "overall",
    group: str = "all",
    metric: str = "ACC",
    top: int = 1,
) -> Any:
    rows = [
        r
        for r in [*report.rows, *report.leaf_rows]
        if (r.section, r.group, r.metric, r.top) == (section, group, metric, top)
    ]
    assert len(rows) == 1, [(r.section, r.group, r.metric, r.top) for r in report.rows]
    return rows[0].cells[group_index]


def accuracies(drawn: Any, k: int = 1) -> dict[int, list[bool]]:
    """Return by leaf whether each test image has its true leaf among the k best; ties go to the lower index."""
    correct = defaultdict(list)
    for i in np.flatnonzero(drawn.split == 1):
        scores, leaf = drawn.scores["leaf"][i], int(drawn.labels[i, 1])
        order = sorted(range(len(scores)), key=lambda c: (-float(scores[c]), c))
        correct[leaf].append(leaf in order[:k])
    return correct


def acc(by_leaf: dict[int, list[bool]], leaves: Any) -> float:
    return float(np.mean([right for leaf in leaves for right in by_leaf.get(leaf, [])]))


def macc(by_leaf: dict[int, list[bool]], leaves: Any) -> float:
    return float(np.mean([np.mean(by_leaf[leaf]) for leaf in leaves if by_leaf.get(leaf)]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("top", [1, 3])
def test_every_estimate_equals_the_loop(draw_scores: Any, seed: int, top: int) -> None:
    drawn = draw_scores(seed=seed, labels_seed=seed, leaves=16, roots=4, rows=300, right=1.0)
    report = evaluate_scores(
        [drawn.path],
        by_head_tail=True,
        by_root=True,
        by_leaf=True,
        thresholds=Thresholds(head_from=90, many=120, few=40),
    )
    by_leaf, parents, train = accuracies(drawn, top), drawn.taxonomy.parents[1], drawn.train_images
    everything = range(16)
    assert cell(report, top=top).value == pytest.approx(acc(by_leaf, everything))
    assert cell(report, top=top, metric="MACC").value == pytest.approx(macc(by_leaf, everything))
    assert cell(report, top=top).interval == pytest.approx(
        wilson_interval(cell(report, top=top).value, cell(report).images)
    )
    groups = {
        ("head and tail", "head (≥ 90)"): train >= 90,
        ("head and tail", "tail (< 90)"): train < 90,
        ("many, medium, few", "many (> 120)"): train > 120,
        ("many, medium, few", "medium (40–120)"): (train <= 120) & (train >= 40),
        ("many, medium, few", "few (< 40)"): train < 40,
        **{("by root", f"root {r}"): parents == r for r in range(4)},
    }
    seen_roots = []
    for (section, group), inside in groups.items():
        leaves = np.flatnonzero(inside)
        one, mean = (cell(report, section=section, group=group, metric=m, top=top) for m in ("ACC", "MACC"))
        if not sum(len(by_leaf.get(leaf, [])) for leaf in leaves):
            assert one is None and mean is None
            continue
        assert one.value == pytest.approx(acc(by_leaf, leaves))
        assert mean.value == pytest.approx(macc(by_leaf, leaves))
        assert mean.images == one.images == sum(len(by_leaf.get(leaf, [])) for leaf in leaves)
        assert mean.classes == sum(leaf in by_leaf for leaf in leaves)
        if section == "by root":
            seen_roots.append(mean.value)
    macro = cell(report, section="by root", group="mean over roots", metric="macro", top=top)
    assert macro.value == pytest.approx(np.mean(seen_roots))
    assert [row.group for row in report.leaf_rows if row.top == top] == [f"class {leaf}" for leaf in sorted(by_leaf)]
    for leaf, right in by_leaf.items():
        assert cell(report, section="by leaf", group=f"class {leaf}", top=top).value == pytest.approx(np.mean(right))


def test_levels(draw_scores: Any) -> None:
    own = evaluate_scores([draw_scores("own", scored=("root", "leaf")).path], by_level=True)
    drawn = draw_scores("derived", ties=False)
    derived = evaluate_scores([drawn.path], by_level=True)
    test = drawn.split == 1
    leaf_scores = np.exp(drawn.scores["leaf"][test].astype(float))
    roots = np.stack([leaf_scores[:, drawn.taxonomy.parents[1] == r].sum(axis=1) for r in range(3)], axis=1)
    right = roots.argmax(axis=1) == drawn.labels[test, 0]
    assert cell(derived, section="by level", group="root").value == pytest.approx(right.mean())
    by_root = [right[drawn.labels[test, 0] == r].mean() for r in range(3)]
    assert cell(derived, section="by level", group="root", metric="MACC").value == pytest.approx(np.mean(by_root))
    assert cell(derived, section="by level", group="root", metric="MACC").classes == 3
    assert any("summed probabilities of the leaves" in note for note in derived.notes)
    assert any("own scores" in note for note in own.notes)
    # the root has three classes, for which top-3 and top-5 are always right
    assert {row.top for row in own.rows if row.section == "by level" and row.group == "root"} == {1}


def test_gain_is_paired_on_the_same_rows(draw_scores: Any) -> None:
    first, second = draw_scores("a", seed=1, right=1.0), draw_scores("b", seed=2, right=3.0)
    report = evaluate_scores([first.path, second.path], by_head_tail=True)
    gain = cell(report, group_index=1).gain
    assert cell(report).gain is None and gain.paired and not report.notes
    assert gain.value == pytest.approx(cell(report, group_index=1).value - cell(report).value)
    assert gain.interval[0] < gain.value < gain.interval[1]
    assert gain.interval[0] > 0, "a clearly better run"
    assert [group.name for group in report.run_groups] == ["a", "b"]


def test_pairing_narrows_the_interval(draw_scores: Any) -> None:
    """Two runs with nearly the same scores, once on the same rows and once on others."""
    first = draw_scores("a", seed=1, ties=False)
    same = draw_scores("b", seed=1, right=2.2, ties=False)
    other = draw_scores("c", seed=1, right=2.2, ties=False, first_row=1)
    paired = cell(evaluate_scores([first.path, same.path]), group_index=1).gain
    report = evaluate_scores([first.path, other.path])
    unpaired = cell(report, group_index=1).gain
    assert paired.value == unpaired.value and paired.paired and not unpaired.paired
    assert np.ptp(paired.interval) < 0.6 * np.ptp(unpaired.interval)
    assert "do not contain the same test rows (other products)" in report.notes[0]


def test_different_numbers_of_rows_are_noted(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", rows=150).path])
    assert "do not contain the same test rows (" in report.notes[0] and "unpaired" in report.notes[0]


def test_a_missing_estimate_is_null(draw_scores: Any) -> None:
    drawn = draw_scores(rows=40, leaves=30)
    report = evaluate_scores(
        [drawn.path, drawn.path], by_head_tail=True, by_leaf=True, thresholds=Thresholds(head_from=10_000)
    )
    assert cell(report, section="head and tail", group="head (≥ 10000)") is None
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    rows = [row for row in plain["rows"] if row["group"] == "head (≥ 10000)"]
    assert rows and all(set(row["cells"].values()) == {None} and row["classes_in_all"] == 0 for row in rows)
    leaves = {row["group"] for row in plain["rows"] if row["section"] == "by leaf"}
    assert (
        0 < len(leaves) < 30 and f"{30 - len(leaves)} leaves without test images are not listed" in plain["notes"][-1]
    )


def test_json_is_in_percent(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", seed=3).path])
    plain = report.as_json()
    overall = plain["rows"][0]
    assert overall["metric"] == "ACC" and overall["top"] == 1 and plain["unit"] == "percent"
    assert overall["cells"]["a"]["value"] == pytest.approx(100 * cell(report).value, abs=1e-4)
    assert overall["cells"]["b"]["gain"]["value"] == pytest.approx(
        100 * cell(report, group_index=1).gain.value, abs=1e-4
    )
    assert plain["columns"][0]["runs"][0]["made_from"]["dataset"] == "dataset-1"


def test_means_over_seeds(draw_scores: Any) -> None:
    files = [
        draw_scores(f"{family}-{seed}", family=family, run_seed=seed, seed=10 * at + seed, right=1.5 + 0.5 * at)
        for at, family in enumerate(("visual", "sicot"))
        for seed in (1, 2, 3)
    ]
    report = evaluate_scores([drawn.path for drawn in files], mean=True)
    assert [group.name for group in report.run_groups] == ["visual (3 seeds)", "sicot (3 seeds)"]
    single = [cell(evaluate_scores([drawn.path])).value for drawn in files]
    visual, sicot = cell(report), cell(report, group_index=1)
    assert visual.value == pytest.approx(np.mean(single[:3])) and visual.spread == pytest.approx(
        np.std(single[:3], ddof=1)
    )
    gains = np.array(single[3:]) - np.array(single[:3])
    assert sicot.gain.paired and sicot.gain.value == pytest.approx(gains.mean())
    assert sicot.gain.spread == pytest.approx(gains.std(ddof=1))
    test = files[0].split == 1
    right = np.array([drawn.scores["leaf"][test].argmax(1) == drawn.labels[test, 1] for drawn in files])
    d = right[3:].mean(0) - right[:3].mean(0)
    over_seeds = [np.var(single[:3], ddof=1), np.var(single[3:], ddof=1)]
    over_images = d.var() / len(d)
    variance = over_images + np.mean(over_seeds) * 2 / 3
    df = 4 * (variance / (variance - over_images)) ** 2
    half = stats.t.ppf(0.975, df) * variance**0.5
    assert sicot.gain.interval == pytest.approx((gains.mean() - half, gains.mean() + half), rel=0.02, abs=0.002)
    of_runs = [cell(evaluate_scores([drawn.path])).interval for drawn in files[:3]]
    low, high = np.mean(of_runs, axis=0)
    assert visual.interval[0] < low and high < visual.interval[1], "seeds widen it"


def test_other_seeds_are_paired_over_images(draw_scores: Any) -> None:
    files = [
        draw_scores(f"{family}-{seed}", family=family, run_seed=seed, seed=seed)
        for family, seeds in (("visual", (1, 2)), ("sicot", (3, 4, 5)))
        for seed in seeds
    ]
    report = evaluate_scores([drawn.path for drawn in files], mean=True)
    gain = cell(report, group_index=1).gain
    assert gain.paired and gain.spread == pytest.approx(
        np.hypot(cell(report).spread, cell(report, group_index=1).spread)
    )


def test_a_column_with_other_rows_is_not_paired(draw_scores: Any) -> None:
    options = {"a": {}, "b": {"first_row": 5, "labels_seed": 7}}
    files = [
        draw_scores(f"{name}-{seed}", family=name, run_seed=seed, seed=seed, **own)
        for name, own in options.items()
        for seed in (1, 2)
    ]
    report = evaluate_scores([drawn.path for drawn in files], mean=True)
    gain = cell(report, group_index=1).gain
    single = [cell(evaluate_scores([drawn.path])).interval for drawn in files]
    first, second = ((cell(report, group_index=i).value, tuple(np.mean(single[2 * i : 2 * i + 2], 0))) for i in (0, 1))
    narrow = unpaired_gain_interval(*first, *second)
    assert not gain.paired and gain.interval[0] < narrow[0] and narrow[1] < gain.interval[1]
    assert any("b-1.h5 and" in note and "do not contain the same test rows" in note for note in report.notes)


def test_a_report_of_single_runs_states_what_its_intervals_cover(draw_scores: Any) -> None:
    paths = [draw_scores(name, family=name, seed=i).path for i, name in enumerate("ab")]
    (note,) = (note for note in evaluate_scores(paths, mean=True).notes if "Each column is one run" in note)
    assert "--set seed=1" in note and not evaluate_scores(paths).notes
    more = [draw_scores("a2", family="a", seed=5, run_seed=1).path, draw_scores("a3", family="a", seed=6).path]
    notes = evaluate_scores([paths[1], *more], mean=True).notes
    assert any(note.startswith("b: one run, which is taken to vary") for note in notes)


def test_classes_must_be_the_same(draw_scores: Any) -> None:
    first, second = draw_scores("a"), draw_scores("b", prefix="kind")
    with pytest.raises(
        Mismatch, match=r"b\.h5 has other classes than .*class 0 of level leaf is 'kind 0' here and 'class 0'"
    ):
        evaluate_scores([first.path, second.path])
    with pytest.raises(Mismatch, match="level leaf has 13 classes here and 12 there"):
        evaluate_scores([first.path, draw_scores("c", leaves=13, labels_seed=7).path])


def test_the_same_classes_of_another_dataset_are_compared_with_a_note(draw_scores: Any) -> None:
    report = evaluate_scores([draw_scores("a").path, draw_scores("b", dataset="dataset-2", first_row=5).path])
    assert "b.h5 has scores of another dataset than" in report.notes[0]
    assert len(report.notes) == 2 and not cell(report, group_index=1).gain.paired


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tops": [0]}, "--top 0: expected numbers from 1 to the number of classes, 12"),
        ({"tops": [1, 13]}, "--top 13"),
        ({"split": "train"}, "no rows of split 'train'"),
        ({"thresholds": (-1, 100, 20)}, "--head-from -1"),
        ({"thresholds": (100, -5, 20)}, "not negative"),
        ({"thresholds": (100, 20, 100)}, "--few 100 is above --many 20"),
    ],
)
def test_bad_options(draw_scores: Any, options: dict[str, Any], message: str) -> None:
    drawn = draw_scores()
    with pytest.raises(BadOption, match=message):
        if "thresholds" in options:
            options = {"thresholds": Thresholds(*options["thresholds"])}
        evaluate_scores([drawn.path], **options)


def test_split_without_a_row(draw_scores: Any) -> None:
    drawn = draw_scores(rows=3)
    empty = next(name for name, code in (("validation", 2), ("test", 1)) if not (drawn.split == code).any())
    with pytest.raises(BadOption, match=f"no row of split {empty}"):
        evaluate_scores([drawn.path], split=empty)


def test_top_k_file_limits_the_tops(draw_scores: Any) -> None:
    kept, dense = draw_scores("kept", top_k=3), draw_scores("dense")
    with pytest.raises(BadOption, match="keeps the 3 best scores only; score again with --top-k 5"):
        evaluate_scores([kept.path, dense.path], tops=[5])
    report = evaluate_scores([kept.path])
    assert {row.top for row in report.rows} == {1, 3} and "top-5 omitted" in report.notes[0]
    assert cell(report, top=3).value == cell(evaluate_scores([dense.path]), top=3).value


def test_a_k_that_is_always_right_is_omitted(draw_scores: Any) -> None:
    drawn = draw_scores(leaves=4)
    report = evaluate_scores([drawn.path])
    assert {row.top for row in report.rows} == {1, 3} and "there are 4 classes" in report.notes[0]
    assert {row.cells[0].value for row in evaluate_scores([drawn.path], tops=[4]).rows if row.cells[0]} == {1.0}


def test_the_first_run_has_the_leaves(draw_scores: Any, tmp_path: Path) -> None:
    draw_scores("a", family="visual", scored=("root",))
    draw_scores("b", family="sicot")
    draw_scores("c", family="visual")
    assert [path.stem for path in find_scores(tmp_path)] == ["c", "b", "a"]
    report = evaluate_scores(find_scores(tmp_path))
    assert cell(report, group_index=1).gain is not None and cell(report, group_index=2) is None
    assert cell(report, section="by level", group="root", group_index=2).gain.paired, (
        "levels that it scored are reported by default"
    )
    assert any("a: scores of root only; leaf read n/a" in note for note in report.notes)


@pytest.mark.parametrize("top_k", [None, 2])
def test_a_run_of_roots_alone(draw_scores: Any, top_k: int | None) -> None:
    drawn = draw_scores("root", scored=("root",), top_k=top_k)
    report = evaluate_scores([drawn.path], by_root=True, by_head_tail=True)
    root = cell(report, section="by level", group="root")
    test = drawn.split == 1
    assert root.value == pytest.approx((drawn.scores["root"].argmax(axis=1) == drawn.labels[:, 0])[test].mean())
    assert all(row.cells == (None,) for row in report.rows if row.level == "leaf")
    overall = next(row for row in report.rows if row.section == "overall")
    assert overall.tested == (len(set(drawn.labels[test, 1])), test.sum())
    json.dumps(report.as_json(), allow_nan=False)


def test_a_level_above_the_deepest_scored_is_summed_from_it(predicted: Any) -> None:
    truth = [0, 1, 2, 3]
    report = evaluate_scores([predicted("middle", truth, {"middle": [0, 1, 2, 2]})], tops=[1])
    assert cell(report, section="by level", group="middle").value == 2 / 4
    assert cell(report, section="by level", group="root").value == 3 / 4
    assert cell(report, section="by level", group="leaf") is None
    assert any("root by the summed probabilities of the classes of middle below" in note for note in report.notes)
