"""The whole way on a dozen drawn products: the user's own four lines as they stand, and what one does after them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import open_run


def done(result: Result) -> str:
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


def scores_of(path: Path) -> dict[str, Any]:
    """All that a scores file holds, by name."""
    with open_scores(path) as scores:
        chunks = list(scores.chunks(features=True))
        found = {name: np.concatenate([getattr(c, name) for c in chunks]) for name in ("rows_R", "ids_R", "split_R")}
        found |= {level: np.concatenate([c.scores[level] for c in chunks]) for level in scores.scored_levels}
        return {**found, "features": np.concatenate([c.features_RD for c in chunks])}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def dataset(journey: Any) -> Dataset:
    return open_dataset(journey.folder / "dataset")


def test_every_line_works_and_names_the_next(journey: Any) -> None:
    prepared, trained, scored, reported = journey.results.values()
    assert "12 in = 12 kept + 0 rejected" in done(prepared) and "prodrec train" in prepared.stderr
    assert "`prodrec score" in done(trained) and "`prodrec report`" in trained.stdout
    assert "`prodrec report" in done(scored) and "scores/sicot.h5" in scored.stdout
    shown = done(reported)
    assert "ACC top-1" in shown and "MACC top-1" in shown and "mean over roots" in shown
    for result in journey.results.values():
        assert "\x1b" not in result.output and "warning" not in result.output and "Traceback" not in result.output


def test_everything_has_its_default_place_and_nothing_half_made_is_left(journey: Any) -> None:
    assert {path.name for path in journey.folder.iterdir()} == {"products.csv", "photos", "dataset", "runs", "scores"}
    for place in ("dataset/dataset.json", "dataset/embeddings.h5", "runs/sicot/model.safetensors", "scores/sicot.h5"):
        assert (journey.folder / place).stat().st_size > 0
    assert not [path for path in journey.folder.rglob("*") if "partial" in path.name or path.name == "checkpoints"]


def test_every_product_arrives_in_the_scores(journey: Any, dataset: Dataset) -> None:
    found = scores_of(journey.folder / "scores/sicot.h5")
    judged = np.sort(np.concatenate([dataset.rows("test"), dataset.rows("validation")]))
    assert found["rows_R"].tolist() == judged.tolist() and len(dataset.rows("train")) + len(judged) == 12
    assert [name.decode() for name in found["ids_R"]] == [dataset.ids()[row] for row in judged]
    assert found["leaf"].shape == (len(judged), len(dataset.taxonomy.leaves))
    table = {row["id"]: row for row in csv.DictReader((journey.folder / "products.csv").open(encoding="utf-8"))}
    for row in range(12):
        product, labels = table[dataset.ids()[row]], dataset.labels_NL[row]
        assert dataset.taxonomy.path(labels[-1]) == tuple(product[level] for level in dataset.taxonomy.levels)


def test_each_artefact_knows_what_it_was_made_from(journey: Any, dataset: Dataset) -> None:
    run = open_run(journey.folder / "runs/sicot")
    with open_scores(journey.folder / "scores/sicot.h5") as scores:
        made_from = scores.origin.made_from
        assert scores.taxonomy.difference(dataset.taxonomy) is None
        assert scores.train_images.tolist() == dataset.train_images.tolist()
    assert made_from == {"run": run.fingerprint, "dataset": dataset.fingerprint}
    assert run.dataset_fingerprint == dataset.fingerprint
    assert run.recipe["network"]["titles"] == "bilinear" and run.header["word_vectors"]["dimension"] > 0


def test_the_run_is_complete_without_the_dataset(journey: Any, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copytree(journey.folder / "runs/sicot", tmp_path / "moved")
    run = open_run(tmp_path / "moved")
    assert run.finished and run.taxonomy.difference(dataset.taxonomy) is None
    assert run.vocabulary.words == dataset.vocabulary.words
    assert run.header["tokenizer"]["name"] == dataset.vocabulary.tokenizer
    assert run.weights()["heads.level:leaf.classifier.weight"].shape[0] == len(dataset.taxonomy.leaves)


@pytest.fixture(scope="module")
def further(
    journey: Any, tmp_path_factory: pytest.TempPathFactory, small_families: Any, prodrec: Callable[[str], Result]
) -> Iterator[Path]:
    """A folder of one's own after the four lines, with a visual run beside sicot; all tests below work in it."""
    folder = tmp_path_factory.mktemp("further") / "shop"
    shutil.copytree(journey.folder, folder)
    with small_families(folder):
        done(prodrec("prodrec train visual --set backbone=resnet18 --set embed=16 --workers 0"))
        done(prodrec("prodrec score --workers 0"))
        yield folder


def test_another_run_is_scored_beside_the_first(further: Path, journey: Any) -> None:
    before, after = (place / "scores/sicot.h5" for place in (journey.folder, further))
    assert before.read_bytes() == after.read_bytes(), "scores that are up to date are left alone"
    assert scores_of(further / "scores/visual.h5")["features"].shape[1] == 16


def test_runs_side_by_side(further: Path, prodrec: Callable[[str], Result]) -> None:
    shown = done(prodrec("prodrec report --by-root --by-level --by-head-tail"))
    header = next(line for line in shown.splitlines() if "classes" in line).split()
    assert [word for word in header if word in ("visual", "sicot", "gain")].count("visual") == 2, "natural and balanced"
    assert "n/a" in shown, "no leaf has 100 training images, and none is not 0"
    result = prodrec("prodrec report --by-root --json --csv out/report.csv --markdown out/report.md")
    found = json.loads(done(result))
    assert [column["name"] for column in found["columns"]] == ["visual", "visual balanced", "sicot", "sicot balanced"]
    with Path("out/report.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    asked = [(row["group"], row["metric"]) for row in found["rows"]]
    assert {(row["group"], row["metric"]) for row in rows} == set(asked)
    overall = found["rows"][0]["cells"]
    printed = Path("out/report.md").read_text("utf-8")
    assert all(f"{overall[name]['value']:.2f}" in printed for name in ("visual", "sicot"))


def test_reported_accuracy_is_that_of_the_scores(further: Path, dataset: Dataset, prodrec: Any) -> None:
    found = json.loads(done(prodrec("prodrec report --split validation --json")))
    for name in ("visual", "sicot"):
        scores = scores_of(further / f"scores/{name}.h5")
        judged = scores["split_R"] == 2
        right = scores["leaf"][judged].argmax(axis=1) == dataset.labels_NL[scores["rows_R"][judged], -1]
        cells = [row["cells"][name] for row in found["rows"] if (row["metric"], row["top"]) == ("ACC", 1)]
        assert cells[0]["value"] == pytest.approx(100 * right.mean()) and cells[0]["images"] == judged.sum()


def test_a_moved_run_scores_a_moved_dataset(
    journey: Any, tmp_path: Path, small_families: Any, prodrec: Callable[[str], Result]
) -> None:
    away = tmp_path / "far" / "away"
    away.mkdir(parents=True)
    shutil.copytree(journey.folder / "runs/sicot", away / "my model")
    shutil.copytree(journey.folder / "dataset", away / "a copy")
    with small_families(tmp_path):
        done(prodrec("prodrec score 'far/away/my model' 'far/away/a copy' --workers 0"))
        assert same(scores_of(Path("scores/my model.h5")), scores_of(journey.folder / "scores/sicot.h5"))
        assert "my model" in done(prodrec("prodrec report"))


def test_the_same_lines_give_the_same_again(
    journey: Any, tmp_path: Path, small_families: Any, prodrec: Callable[[str], Result]
) -> None:
    for name in ("products.csv", "photos"):
        (tmp_path / name).symlink_to(journey.folder / name)
    with small_families(tmp_path):
        done(prodrec("prodrec prepare products.csv --images photos/ --workers 1"))
        done(prodrec("prodrec train sicot --workers 0"))
    assert open_dataset(tmp_path / "dataset").fingerprint == open_dataset(journey.folder / "dataset").fingerprint
    first, second = (open_run(place / "runs/sicot") for place in (journey.folder, tmp_path))
    assert first.fingerprint == second.fingerprint
    assert (first.path / "history.csv").read_bytes() == (second.path / "history.csv").read_bytes()
