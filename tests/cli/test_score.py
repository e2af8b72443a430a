"""`prodrec score` on tiny trained runs: scores that agree with training, one sentence for everything that is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.demo.catalogue import DrawnCatalogue

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ["backbone=squeezenet1_1", "weights=none", "image_size=32", "epochs=1", "batch_size=16", "lr=0.02"]
TINY += ["operating_points=none"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(one_thread: None, drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dataset/, runs/visual and runs/sicot."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        settings = [part for setting in TINY for part in ("--set", setting)]
        for arguments in (
            ["prepare", drawn.table, "--images", drawn.photos],
            ["train", "visual", *settings, "--workers", 0, "--preset", "paper"],
            ["train", "sicot", *settings, "--set", "word_vectors=random", "--workers", 0, "--preset", "paper"],
        ):
            result = call(*arguments)
            assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a copy of the trained folder for one test."""
    shutil.copytree(trained, tmp_path / "folder")
    monkeypatch.chdir(tmp_path / "folder")
    return tmp_path / "folder"


def score(*arguments: object) -> Result:
    return call("score", "--workers", 0, *arguments)


def read(path: Path) -> Any:
    with open_scores(path) as scores:
        chunks = list(scores.chunks(features=True, attributes=True))
        return scores, {
            name: np.concatenate([getattr(c, name) for c in chunks]) for name in ("rows_R", "ids_R", "labels_RL")
        }


def test_all_runs_are_scored_once(folder: Path) -> None:
    result = score()
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("scores").iterdir()) == ["sicot.h5", "visual.h5"]
    written = Path("scores/visual.h5").read_bytes()
    again = json.loads(score("--json").stdout)
    assert again["scored"] == [] and len(again["up_to_date"]) == 2
    assert Path("scores/visual.h5").read_bytes() == written
    Path("scores/visual.h5").unlink()
    third = json.loads(score("--json").stdout)
    assert [entry["run"] for entry in third["scored"]] == ["visual"]
    assert third["up_to_date"] == ["scores/sicot.h5"]


def test_scores_contain_the_rows_of_the_dataset(folder: Path) -> None:
    assert score("visual", "--batch-size", 3).exit_code == 0
    data = open_dataset(Path("dataset"))
    scores, columns = read(Path("scores/visual.h5"))
    rows = np.flatnonzero(data.split_N != 0)
    assert columns["rows_R"].tolist() == rows.tolist()
    assert [text.decode() for text in columns["ids_R"]] == [data.ids()[row] for row in rows]
    assert columns["labels_RL"].tolist() == data.labels_NL[rows].tolist()
    assert scores.train_images.tolist() == data.train_images.tolist()
    assert scores.origin.made_from["dataset"] == data.fingerprint
    assert scores.origin.recipe["network"]["backbone"] == "squeezenet1_1"


def test_a_report_on_validation_equals_the_validation_of_training(folder: Path) -> None:
    """Network, photos and arithmetic are those of training, and storing float16 changes no prediction."""
    assert score().exit_code == 0
    report = json.loads(call("report", "--split", "validation", "--top", "1", "--json").stdout)
    for name in ("visual", "sicot"):
        epoch = json.loads(Path(f"runs/{name}/run.json").read_text("utf-8"))["result"]["epochs"][-1]
        values = {row["metric"]: row["cells"][name]["value"] for row in report["rows"]}
        assert values["ACC"] == pytest.approx(100 * epoch["validation_top1"], abs=1e-3)
        assert values["MACC"] == pytest.approx(100 * epoch["validation_macc"], abs=1e-3)


def test_the_form_with_run_and_dataset(folder: Path) -> None:
    result = score("runs/sicot", "dataset", "--out", "elsewhere/s.h5", "--split", "all", "--top-k", 2)
    assert result.exit_code == 0, result.output
    with open_scores(Path("elsewhere/s.h5")) as scores:
        assert scores.top_k == 2 and scores.splits == ("train", "test", "validation")
        assert scores.n == len(open_dataset(Path("dataset")))


def test_titles_are_used_only_with_the_option(folder: Path) -> None:
    assert score("sicot").exit_code == score("sicot", "--with-titles").exit_code == 0
    plain, titled = (Path(f"scores/sicot{suffix}.h5") for suffix in ("", "-with-titles"))
    with open_scores(plain) as a, open_scores(titled) as b:
        assert not a.origin.with_titles and b.origin.with_titles
        first, second = (next(file.chunks()).scores["leaf"] for file in (a, b))
        assert not np.allclose(first, second)


def test_batch_size_changes_scores_by_rounding_only(folder: Path) -> None:
    for size in (1, 64):
        assert score("visual", "--batch-size", size, "--out", f"{size}.h5", "--precision", "fp32").exit_code == 0
    with open_scores(Path("1.h5")) as a, open_scores(Path("64.h5")) as b:
        for one, other in zip(a.chunks(), b.chunks(), strict=True):
            np.testing.assert_allclose(one.scores["leaf"], other.scores["leaf"], atol=0.02)


def wrong(result: Result, *expected: str) -> None:
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ") and "Traceback" not in result.output
    assert not result.stdout
    for text in expected:
        assert text in result.stderr
    assert not Path("scores").exists() or not list(Path("scores").glob(".*"))


def change_json(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **values}), "utf-8")


def test_no_run_at_all(folder: Path) -> None:
    shutil.rmtree("runs")
    wrong(score(), "runs contains no finished run", "prodrec train")


def test_no_such_run_or_dataset(folder: Path) -> None:
    wrong(score("nothing"), "nothing does not exist")
    wrong(score("visual", "--dataset", "nothing"), "nothing does not exist")
    Path("empty").mkdir()
    wrong(score("empty"), "empty is neither a run", "nor a dataset")
    wrong(score("visual", "dataset", "--dataset", "dataset"), "both datasets")


def test_unfinished_run(folder: Path) -> None:
    change_json(Path("runs/sicot/run.json"), status="training")
    wrong(score("sicot"), "runs/sicot is not finished", "--resume")
    others = score()
    assert others.exit_code == 0 and "warning: runs/sicot is not finished" in others.stderr
    assert [path.name for path in Path("scores").iterdir()] == ["visual.h5"]


def test_damaged_run_among_others(folder: Path) -> None:
    Path("runs/sicot/catalogue.json").unlink()
    wrong(score("sicot"), "runs/sicot is incomplete")
    others = score()
    assert others.exit_code == 0 and others.stderr.count("warning: runs/sicot is incomplete") == 1
    assert [path.name for path in Path("scores").iterdir()] == ["visual.h5"]


def test_existing_scores_of_other_work_need_force(folder: Path) -> None:
    assert score("visual").exit_code == 0
    before = Path("scores/visual.h5").read_bytes()
    wrong(score("visual", "--top-k", 2), "scores/visual.h5 exists and it contains all scores", "--force")
    wrong(score("visual", "--split", "train"), "it contains the splits test, validation only")
    wrong(score("sicot", "--out", "scores/visual.h5"), "another run")
    change_json(Path("runs/visual/run.json"), fingerprint="0" * 32)
    wrong(score(), "the scores of another run than runs/visual as it is now", "--force")
    assert Path("scores/visual.h5").read_bytes() == before
    assert score("--force").exit_code == 0
    assert Path("scores/visual.h5").read_bytes() != before


def test_a_file_that_is_no_scores_is_not_replaced(folder: Path) -> None:
    Path("notes.txt").write_text("mine")
    wrong(score("visual", "--out", "notes.txt"), "not an HDF5 file", "--force")
    wrong(score("visual", "--out", "dataset"), "dataset is a directory")
    assert Path("notes.txt").read_text() == "mine"


def test_run_of_another_dataset(folder: Path, drawn: DrawnCatalogue) -> None:
    remade = call("prepare", drawn.table, "--images", drawn.photos, "--out", "resplit", "--seed", 5)
    assert remade.exit_code == 0, remade.output
    wrong(score("visual", "resplit"), "was trained on another dataset than resplit", "--other-dataset")
    wrong(score("--dataset", "resplit"), "no run in runs/ was trained on resplit")
    assert score("visual", "resplit", "--other-dataset").exit_code == 0
    wrong(score("sicot", "dataset", "resplit"), "both datasets")


def test_photos_of_classes_that_the_run_does_not_know_count_as_wrong(folder: Path, drawn: DrawnCatalogue) -> None:
    text = drawn.table.read_text("utf-8")
    leaf = open_dataset(Path("dataset")).taxonomy.leaves[0]
    table = folder / "renamed.csv"
    table.write_text(text.replace(leaf, "Aaa"), "utf-8")
    remade = call("prepare", table, "--images", drawn.photos, "--out", "renamed")
    assert remade.exit_code == 0, remade.output
    wrong(score("visual", "renamed"), "have other classes", "'Aaa'", "or add --other-dataset")
    scored = score("visual", "renamed", "--other-dataset", "--split", "all", "--out", "renamed.h5", "--json")
    note = json.loads(scored.stdout)["scored"][0]["note"]
    assert "the run does not know Aaa of level" in note and "count as wrong" in note
    assert score("visual", "renamed", "--other-dataset", "--split", "all", "--out", "renamed.h5").exit_code == 0
    with open_scores(Path("renamed.h5")) as scores:
        assert scores.taxonomy.leaves[0] == "Aaa" and leaf in scores.taxonomy.leaves
        chunk = next(scores.chunks())
        new_R = chunk.labels_RL[:, -1] == 0
        assert new_R.any() and not (chunk.scores[scores.levels[-1]].argmax(1)[new_R] == 0).any()
    reported = call("report", "renamed.h5", "--json")
    assert reported.exit_code == 0, reported.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top-k", "0"], "--top-k 0"),
        (["--precision", "fp8"], "--precision fp8"),
        (["--split", "tests"], "no split 'tests'"),
        (["--device", "cuda:99"], "--device cuda:99"),
        (["--out", "one.h5"], "one place for 2 runs"),
        (["visual", "--with-titles"], "photos only"),
    ],
)
def test_bad_options(folder: Path, arguments: list[str], message: str) -> None:
    wrong(score(*arguments), message)


def test_damaged_weights(folder: Path) -> None:
    weights = Path("runs/visual/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    wrong(score("visual"), "model.safetensors")
    weights.unlink()
    wrong(score("visual"), "model.safetensors")
    shutil.copy("runs/sicot/model.safetensors", weights)
    wrong(score("visual"), "runs/visual")


def test_a_diverged_network_is_reported(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file("runs/visual/model.safetensors")
    weights["heads.level:leaf.classifier.bias"][2] = float("nan")
    save_file(weights, "runs/visual/model.safetensors")
    result = score("visual")
    assert result.exit_code == 1 and "scores of level leaf of row" in result.stderr and "not finite" in result.stderr
    assert not list(Path("scores").iterdir())
