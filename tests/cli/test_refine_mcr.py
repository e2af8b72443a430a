"""`prodrec refine-mcr` from the command line: what it refines and prints, and one sentence for every error."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.scores.reader import open_scores


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["refine-mcr", *(str(argument) for argument in arguments)])


@pytest.fixture
def folder(draw_scores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """scores/ with a run of both levels, a leaf run and a root run of the same photos."""
    monkeypatch.chdir(tmp_path)
    for name, scored, seed in (("both", ("root", "leaf"), 1), ("leaf", ("leaf",), 2), ("root", ("root",), 3)):
        draw_scores(name, seed=seed, scored=scored, rows=400, out=tmp_path / "scores" / f"{name}.h5")
    return tmp_path


def snapshot(folder: Path) -> dict[str, str]:
    """Return the hash of every file in `folder`, by its path."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        content = hashlib.blake2b(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        hashes[str(path.relative_to(folder))] = content
    return hashes


def test_without_arguments_every_file_with_several_levels_is_refined_once(folder: Path) -> None:
    result = call()
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("scores").iterdir()) == [
        "both-mcr.h5",
        "both-mcr.weights.hdf5",
        "both.h5",
        "leaf.h5",
        "root.h5",
    ]
    assert "scores/leaf.h5 (leaf) has a single level and is skipped" in result.stderr
    for text in ("λ = ", "solver: converged after", "test", "validation", "MACC", "before", "after"):
        assert text in result.stdout
    written = snapshot(folder)
    again = json.loads(call("--json").stdout)
    assert again == {"refined": [], "up_to_date": ["scores/both-mcr.h5"]} and snapshot(folder) == written
    assert CliRunner().invoke(app, ["report", "--by-level"]).exit_code == 0  # weights beside scores disturb nothing


def test_a_refined_file_of_other_scores_needs_force(folder: Path, draw_scores: Any) -> None:
    assert call().exit_code == 0
    draw_scores("both", seed=9, scored=("root", "leaf"), rows=400, out=Path("scores/both.h5").absolute().with_name("n"))
    Path("scores/n").replace("scores/both.h5")
    wrong(call(), "scores/both-mcr.h5 exists and is not of scores/both.h5 as it is now", "--force")
    assert call("--force").exit_code == 0
    wrong(call("--k", "2", "--fit", "test", "--fit-on-judged"), "was refined with another k and fit", "--force")


def test_a_leaf_run_and_a_root_run_become_one(folder: Path) -> None:
    result = call("scores/leaf.h5", "scores/root.h5", "--json", "--lambda", 30, "--k", 2)
    assert result.exit_code == 0, result.output
    (refinement,) = json.loads(result.stdout)["refined"]
    assert refinement["scores"] == "scores/leaf-mcr.h5" and refinement["weights"] == "scores/leaf-mcr.weights.hdf5"
    assert refinement["lambda"] == 30 and refinement["settings"]["k"] == 2 and refinement["levels"] == ["root", "leaf"]
    assert {(f["split"], f["level"], f["metric"]) for f in refinement["figures"]} == {
        (split, level, metric)
        for split in ("test", "validation")
        for level in ("root", "leaf")
        for metric in ("ACC", "MACC")
    }
    assert refinement["worse"] == [f for f in refinement["figures"] if f["after"] < f["before"]]
    solver = refinement["solver"]
    assert solver["final"]["status"] == "converged" and solver["cross_validation"]["fits"] == 5
    with open_scores(Path("scores/leaf-mcr.h5")) as scores:
        assert scores.scored_levels == ("root", "leaf")
        assert set(scores.origin.recipe["inputs"]) == {"root", "leaf"}


def test_a_warning_names_the_rows_that_become_worse(folder: Path) -> None:
    """With so small a λ, 225 weights overfit the 80 rows."""
    result = call("scores/both.h5", "--lambda", 0.001, "--k", "all")
    assert result.exit_code == 0, result.output
    assert "warning: refinement makes these rows worse: " in result.stderr and "leaf MACC" in result.stderr


def test_weights_are_applied(folder: Path, draw_scores: Any) -> None:
    assert call("scores/both.h5", "--lambda", 10, "--save-weights", "w.hdf5").exit_code == 0
    draw_scores("new", scored=("root", "leaf"), dataset="next year", out=folder / "new.h5")
    result = call("new.h5", "--weights", "w.hdf5", "--out", "refined.h5")
    assert result.exit_code == 0, result.output
    assert "by given weights" in result.stdout and Path("refined.h5").is_file()
    both = call("new.h5", "--weights", "w.hdf5", "--save-weights", "v.hdf5", "--k", 2)
    wrong(both, "--weights w.hdf5", "--k, --save-weights would do nothing")


def wrong(result: Result, *expected: str) -> None:
    assert result.exit_code == 2, f"{result.output}{result.exception!r}"
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ") and result.stderr.endswith(".\n")
    assert not result.stdout and "Traceback" not in result.output
    for text in expected:
        assert text in result.stderr


def put_value(name: str, index: Any, value: Any) -> Callable[[], None]:
    """Return a function that changes one value in both.h5."""

    def spoil() -> None:
        with h5py.File("scores/both.h5", "a") as file:
            file[name][index] = value

    return spoil


def no_validation_row_of_class_3() -> None:
    with h5py.File("scores/both.h5", "a") as file:
        leaf, split = file["labels/leaf"][:], file["split"][:]
        split[leaf == 3] = 1
        file["split"][:] = split


def root_of_another_dataset() -> None:
    with h5py.File("scores/root.h5", "a") as file:
        made = json.loads(file.attrs["made_from"])
        file.attrs["made_from"] = json.dumps({**made, "dataset": "another"})


def root_lacks_rows() -> None:
    with h5py.File("scores/root.h5", "a") as file:
        for name in (
            "id",
            "row",
            "split",
            "features",
            "labels/root",
            "labels/leaf",
            "scores/root",
            "attributes/colour%2Ftone",
        ):
            remaining = np.delete(file[name][:], [4, 9], axis=0)
            file[name].resize(len(remaining), axis=0)
            file[name][:] = remaining
        file.attrs["rows"] = len(remaining)


def only_single_levels() -> None:
    Path("scores/both.h5").unlink()


def no_scores() -> None:
    for path in Path("scores").iterdir():
        path.unlink()


def nothing() -> None:
    """Change nothing."""


BOTH, TWO = "scores/both.h5", "scores/leaf.h5 scores/root.h5"
CASES: list[tuple[str, Callable[[], Any], str, tuple[str, ...]]] = [
    ("no root", nothing, "scores/leaf.h5", ("scores/leaf.h5", "level leaf alone", "(root)", "--levels leaf")),
    ("no leaf", nothing, "scores/root.h5", ("scores/root.h5", "no scores of level leaf", "heads=leaf")),
    ("a level asked for", nothing, "scores/leaf.h5 --levels root,leaf", ("no scores of level root", "heads=root")),
    ("an unknown level", nothing, f"{BOTH} --levels shop", ("scores/both.h5", "'shop'", "root, leaf")),
    ("NaN", put_value("scores/root", (4, 2), np.nan), BOTH, ("scores/both.h5", "level root", "not finite", "row 12")),
    (
        "infinite",
        put_value("scores/leaf", (4, 2), np.inf),
        BOTH,
        ("scores/both.h5", "not finite", "row 12 (id 产品12)"),
    ),
    ("a label", put_value("labels/leaf", 4, 12), BOTH, ("scores/both.h5", "row 12", "label 12", "12 classes")),
    (
        "no row of a category",
        no_validation_row_of_class_3,
        f"{BOTH} --penalty weights --normaliser related",
        ("'class 3' of level leaf", "no validation row", "--penalty identity"),
    ),
    ("K above the level", nothing, f"{BOTH} --k 4", ("--k 4", "level root", "3 categories", "at most 3")),
    ("K of 0", nothing, f"{BOTH} --k 0", ("--k 0", "at least 1")),
    ("K in words", nothing, f"{BOTH} --k few", ("--k few", "all")),
    ("λ below 0", nothing, f"{BOTH} --lambda -1", ("--lambda -1", "not negative")),
    ("λ in words", nothing, f"{BOTH} --lambda small", ("--lambda small", "auto")),
    ("λ without end", nothing, f"{BOTH} --lambda nan", ("--lambda nan", "auto")),
    ("another dataset", root_of_another_dataset, TWO, ("scores/root.h5", "another dataset", "scores/leaf.h5")),
    ("a level twice", nothing, "scores/leaf.h5 scores/both.h5", ("scores/leaf.h5", "scores/both.h5", "level leaf")),
    ("missing rows", root_lacks_rows, TWO, ("scores/root.h5 lacks rows", "12, 27", "--split")),
    ("no such file", nothing, "scores/none.h5", ("scores/none.h5", "does not exist")),
    ("truncated", lambda: os.truncate(BOTH, 9000), BOTH, ("scores/both.h5", "truncated")),
    ("not scores", lambda: Path("a.csv").write_text("x"), "a.csv", ("a.csv", "not an HDF5 file")),
    ("fit on test", nothing, f"{BOTH} --fit test", ("--fit test", "--fit-on-judged")),
    ("fit on no split", nothing, f"{BOTH} --fit valid", ("--fit valid", "train, test, validation")),
    ("fit on nothing", nothing, f"{BOTH} --fit ,", ("--fit names no split", "train, test, validation")),
    ("no level", nothing, f"{BOTH} --levels ,", ("--levels", "the leaves (leaf) must be among them")),
    ("fit on no rows", nothing, f"{BOTH} --fit train", ("scores/both.h5", "no rows of split train")),
    ("no normaliser", nothing, f"{BOTH} --normaliser all", ("--normaliser all", "level or related")),
    ("no penalty", nothing, f"{BOTH} --penalty l1", ("--penalty l1", "identity or weights")),
    ("no weights", nothing, f"{BOTH} --weights w.hdf5", ("w.hdf5", "does not exist")),
    ("scores as weights", nothing, f"{BOTH} --weights scores/root.h5", ("scores/root.h5", "not a prodrec mcr-weights")),
    ("out is taken", lambda: Path("mine").write_text("x"), f"{BOTH} --out mine", ("mine", "--force")),
    ("out is an input", nothing, f"{BOTH} --out {BOTH} --force", ("scores/both.h5", "one of the files to refine")),
    ("weights are taken", lambda: Path("w").write_text("x"), f"{BOTH} --save-weights w", ("w exists", "--force")),
    ("one place for both", nothing, f"{BOTH} --out o.h5 --save-weights o.h5", ("o.h5", "named twice")),
    (
        "only single levels",
        only_single_levels,
        "",
        ("no file of scores/ has several levels", "scores/leaf.h5 (leaf)"),
    ),
    ("no scores", no_scores, "", ("scores contains no scores", "prodrec score")),
    ("folds", nothing, f"{BOTH} --folds 1", ("--folds 1", "at least 2")),
]


@pytest.mark.parametrize(("spoil", "line", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input(folder: Path, spoil: Callable[[], Any], line: str, expected: tuple[str, ...]) -> None:
    """The error is one sentence with exit code 2, and no file is written or changed."""
    spoil()
    before = snapshot(folder)
    wrong(call(*line.split()), *expected)
    assert snapshot(folder) == before
