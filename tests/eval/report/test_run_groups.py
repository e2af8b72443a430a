"""Grouping of files: names of the groups, and repeats of one recipe."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prodrec.core.scores.schema import Origin
from prodrec.eval.report.run_groups import group_runs, paired_files


def file(
    run: str, family: str, seed: int | None = None, *, path: str | None = None, point: str = "natural", **settings: Any
) -> Any:
    recipe = {"family": family, "network": settings, "training": {"seed": seed}}
    titled = settings.pop("with_titles", False)
    origin = Origin(
        run=run,
        family=family,
        made_from={"dataset": "d"},
        splits=("test",),
        seed=seed,
        recipe=recipe,
        with_titles=titled,
        operating_point={"name": point},
    )
    return SimpleNamespace(path=Path(path or f"scores/{run}.h5"), origin=origin)


def names(files: list[Any], *, mean: bool = False) -> list[str]:
    return [group.name for group in group_runs(files, mean=mean)]


def test_groups_have_the_names_of_their_runs() -> None:
    assert names([file("visual", "visual"), file("sicot", "sicot", with_titles=True)]) == [
        "visual",
        "sicot with titles",
    ]


def test_equal_names_are_replaced_by_file_names_and_paths() -> None:
    raw, refined = file("visual", "visual"), file("visual", "visual", path="scores/refined.h5")
    assert names([raw, refined]) == ["visual", "refined"]
    assert names([raw, file("visual", "visual", path="old/visual.h5")]) == ["scores/visual.h5", "old/visual.h5"]
    assert len(set(names([raw, raw]))) == 2


def test_repeats_of_a_recipe_are_one_group() -> None:
    files = [file("v1", "visual", 1), file("s1", "sicot", 1), file("v2", "visual", 2), file("s2", "sicot", 2)]
    groups = group_runs(files, mean=True)
    assert [(group.name, group.files) for group in groups] == [
        ("visual (2 seeds)", (0, 2)),
        ("sicot (2 seeds)", (1, 3)),
    ]
    assert paired_files(files, *groups) == [(0, 1), (2, 3)]


def test_operating_points_of_the_same_runs_have_the_name_of_the_runs() -> None:
    files = [
        file(f"default-{seed}", "visual", seed, point=point) for point in ("natural", "balanced") for seed in (1, 2)
    ]
    files += [file(f"ce-{seed}", "visual", seed, label_smoothing=0.1) for seed in (1, 2)]
    assert names(files, mean=True) == ["default (2 seeds)", "default balanced (2 seeds)", "ce (2 seeds)"]


def test_a_different_recipe_is_another_group() -> None:
    files = [
        file("sicot-a-seed1", "sicot", 1, titles="mean"),
        file("sicot-a-seed2", "sicot", 2, titles="mean"),
        file("sicot-b-seed1", "sicot", 1, titles="bilstm"),
    ]
    assert names(files, mean=True) == ["sicot-a (2 seeds)", "sicot-b"]
    clashing = [file("s1", "sicot", 1, titles="mean"), file("s2", "sicot", 2, titles="bilstm")]
    assert names(clashing, mean=True) == ["sicot 1", "sicot 2"]


@pytest.mark.parametrize(
    ("runs", "name"),
    [
        (("ca-titles-0", "ca-titles-1"), "ca-titles"),
        (("bcnn-0-mcr", "bcnn-1-mcr"), "bcnn-mcr"),
        (("deep_s1", "deep_s2"), "deep"),
        (("deep seed 1", "deep seed 2"), "deep"),
        (("run1", "run2"), "run"),
    ],
)
def test_repeats_are_named_without_their_seeds(runs: tuple[str, str], name: str) -> None:
    files = [*[file(run, "x", i, titles="mean") for i, run in enumerate(runs)], file("x-9", "x", 9)]
    assert names(files, mean=True)[0] == f"{name} (2 seeds)"


def test_one_seed_twice_is_two_runs() -> None:
    assert names([file("v1", "visual", 1), file("again", "visual", 1)], mean=True) == ["visual (2 runs)"]


@pytest.mark.parametrize("seeds", [((1, 2), (3, 4)), ((1, 2), (1, 2, 3)), ((None, 2), (None, 2)), ((1, 1), (1, 1))])
def test_pairs_need_equal_seeds(seeds: Any) -> None:
    files = [file(f"{f}{i}", f, s) for f, own in zip("vs", seeds, strict=True) for i, s in enumerate(own)]
    groups = group_runs(files, mean=True)
    assert paired_files(files, *groups) == []
