"""Scores with the log-probabilities of ancestors: computed from all levels, recorded and named in the files."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.reader import open_scores
from prodrec.models.families import make_recipe
from prodrec.pipeline.refine_mcr import refine_mcr
from prodrec.pipeline.report import report
from prodrec.pipeline.score import score
from prodrec.pipeline.train import train_recipe
from prodrec.pipeline.tree_weight import check_run_has_upper_level

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32x24", "lr": "0.001", "epochs": "2"}
SETTINGS |= {"batch_size": "16", "optimizer": "adamw", "precision": "fp32"}


@pytest.fixture(scope="module")
def place(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tree")
    torch.set_num_threads(1)
    shutil.copytree(drawn_dataset, place / "dataset")
    for heads, epochs in (("levels", "2"), ("leaf", "0.1")):
        recipe = make_recipe("visual", {**SETTINGS, "heads": heads, "epochs": epochs})
        train_recipe(recipe, dataset=place / "dataset", out=place / "runs" / heads, workers=0)
    return place


def read(path: Path) -> dict[str, NDArray[Any]]:
    with open_scores(path) as scores:
        return {level: values.astype(np.float64) for level, values in next(scores.chunks()).scores.items()}


def test_log_probabilities_of_ancestors_are_added(folder: Path) -> None:
    (plain,) = score("levels", operating_point="plain", workers=0).files
    (tree,) = score("levels", operating_point="plain", tree_weight=2, workers=0).files
    assert tree.name == "levels@plain-tree-2.h5"
    before, after = read(plain), read(tree)
    *upper_levels, leaf = before
    expected = before[leaf]
    with open_scores(plain) as scores:
        ancestors = {level: scores.taxonomy.ancestors_of_level(leaf, level) for level in upper_levels}
    for level, ancestor_C in ancestors.items():
        log_p = before[level] - np.logaddexp.reduce(before[level], axis=1, keepdims=True)
        expected = expected + 2 * log_p[:, ancestor_C]
        np.testing.assert_array_equal(after[level], before[level])
    assert len(upper_levels) > 1
    np.testing.assert_allclose(after[leaf], expected, atol=2e-2)
    assert np.abs(after[leaf] - before[leaf]).max() > 0.1


def test_tree_weights_are_recorded(folder: Path) -> None:
    files = [*score("levels", workers=0).files, *score("levels", tree_weight=0.5, workers=0).files]
    names = ["levels.h5", "levels@balanced.h5", "levels-tree-0.5.h5", "levels@balanced-tree-0.5.h5"]
    assert [path.name for path in files] == names
    assert score("levels", tree_weight=0.5, workers=0).up_to_date == tuple(files[2:])
    with open_scores(files[3]) as tree, open_scores(files[0]) as plain:
        assert tree.origin.tree_weight == 0.5 and tree.origin.title == "levels balanced tree 0.5"
        assert plain.origin.tree_weight == 0 and plain.origin.title == "levels" and "tree_weight" not in plain.header
    assert "visual balanced tree 0.5" in str(report(files, mean=True))  # no repeat of the scores without the tree
    with pytest.raises(OutputExists, match=r"levels.h5 exists and it was scored with the tree weight 0;"):
        score("levels", tree_weight=0.5, out="scores/levels.h5", workers=0)
    refine_mcr(files[2], iterations=2)
    with open_scores(Path("scores/levels-tree-0.5-mcr.h5")) as scores:
        assert scores.origin.tree_weight == 0.5


@pytest.mark.parametrize("point", ["plain", "balanced"])
def test_the_best_classes_are_those_of_all_scores(folder: Path, point: str) -> None:
    score("levels", out="all.h5", tree_weight=3, operating_point=point, workers=0)
    score("levels", out="best.h5", tree_weight=3, operating_point=point, top_k=2, workers=0)
    with open_scores(Path("best.h5")) as scores:
        chunk = next(scores.chunks())
    assert chunk.classes is not None
    everything = read(Path("all.h5"))
    for level, classes_RK in chunk.classes.items():
        np.testing.assert_allclose(np.take_along_axis(everything[level], classes_RK, 1), chunk.scores[level], atol=2e-2)
        best_RK = -np.sort(-everything[level], axis=1)[:, :2]
        np.testing.assert_allclose(best_RK, chunk.scores[level], atol=2e-2)


def test_runs_without_upper_levels_are_refused(folder: Path) -> None:
    message = r"--tree-weight 0\.5: runs/leaf predicts the level leaf alone; omit it, or train with --set heads="
    with pytest.raises(BadOption, match=message):
        score("leaf", tree_weight=0.5, workers=0)
    assert score("leaf", workers=0).scored
    assert score("levels", tree_weight=0.5, workers=0).scored  # trained with heads=levels


@pytest.mark.parametrize(
    ("heads", "tree", "message"),
    [
        ("leaf", Taxonomy(("kind",), ("ab",), ((-1, -1),)), "the classes of runs/x have one level only; omit it."),
        (
            "attributes",
            Taxonomy(("root", "kind"), ("r", "ab"), ((-1,), (0, 0))),
            "runs/x predicts attributes alone; omit it, or train with --set heads=levels.",
        ),
    ],
)
def test_runs_of_one_level_or_none(heads: str, tree: Taxonomy, message: str) -> None:
    recipe = make_recipe("visual", {"heads": heads}).as_json()
    run: Any = SimpleNamespace(
        path=Path("runs/x"), recipe=recipe, taxonomy=tree, attributes=(Attribute("colour", ("red", "blue")),)
    )
    with pytest.raises(BadOption) as caught:
        check_run_has_upper_level(run, 0.5)
    assert str(caught.value) == f"--tree-weight 0.5: {message}"
    check_run_has_upper_level(run, 0.0)


def test_weights_out_of_range(folder: Path) -> None:
    for weight in (-0.5, float("nan"), float("inf")):
        with pytest.raises(BadOption, match=rf"--tree-weight {weight:g}: expected at least 0\.$"):
            score("levels", tree_weight=weight, workers=0)
