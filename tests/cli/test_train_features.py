"""All commands on a catalogue of feature vectors: prepare, train, score, report. Those that need photos refuse it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.demo.catalogue import DrawnCatalogue

from .conftest import prodrec


def refused(*words: object) -> str:
    return prodrec(*words, code=2).stderr


@pytest.fixture(scope="module")
def shop(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of vectors that determine the leaf, and sicot trained on it."""
    place = tmp_path_factory.mktemp("features")
    with drawn.table.open(encoding="utf-8", newline="") as stream:
        leaves = [row["leaf"] for row in csv.DictReader(stream)]
    random = np.random.default_rng(0)
    centres = {leaf: random.normal(size=16) for leaf in sorted(set(leaves))}
    vectors = np.stack([centres[leaf] + 0.3 * random.normal(size=16) for leaf in leaves])
    np.save(place / "vectors.npy", vectors.astype(np.float32))
    prodrec("prepare", drawn.table, "--features", place / "vectors.npy", "--out", place / "dataset")
    settings: dict[str, Any] = {"embed": 24, "word_vectors": "random", "epochs": 12, "batch_size": 16, "lr": 0.1}
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    prodrec("train", "sicot", place / "dataset", "--out", place / "sicot", "--preset", "paper", *options)
    return place


def test_vectors_are_trained_on_scored_and_reported(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    result = json.loads(prodrec("score", "sicot", "dataset", "--top-k", 3, "--json").stdout)
    assert result["scored"][0]["rows"]["test"] > 10
    report = json.loads(prodrec("report", "--json").stdout)
    top1 = next(row for row in report["rows"] if (row["metric"], row["top"]) == ("ACC", 1))
    assert top1["cells"]["sicot"]["value"] > 80  # the vectors determine the leaves
    assert json.loads((shop / "sicot" / "run.json").read_text())["inputs"] == {"features": {"width": 16}}
    assert "nothing to draw" in refused("gallery", "scores/sicot.h5", "dataset")
    assert "cannot recognise photo files" in refused("explain", "sicot", "dataset/long-tail.png")


def test_scores_of_all_classes_are_refined(shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(shop)
    prodrec("train", "bmtl-rl", "dataset", "--out", tmp_path / "both", "--set", "epochs=1", "--set", "lr=0.01")
    prodrec("score", tmp_path / "both", "dataset", "--out", tmp_path / "both.h5")
    prodrec("refine-mcr", tmp_path / "both.h5", "--out", tmp_path / "refined.h5")
    assert (tmp_path / "refined.h5").is_file()


def test_settings_of_photos_are_refused(shop: Path, tmp_path: Path) -> None:
    train = ("train", "visual", shop / "dataset", "--out", tmp_path / "run", "--set")
    assert "image_size=64 is about photos" in refused(*train, "image_size=64")
    assert "backbone=resnet18 is for photos" in refused(*train, "backbone=resnet18")
    assert not (tmp_path / "run").exists()
    assert json.loads(prodrec(*train[:-1], "--plan", "--json").stdout)["precision"] == "fp32"


def test_a_dataset_of_titles_alone(shop: Path, drawn: DrawnCatalogue, tmp_path: Path) -> None:
    out = tmp_path / "titles"
    made = prodrec("prepare", drawn.table, "--no-images", "--out", out)
    assert "pretrain-embeddings" in made.stderr and "nothing to recognise" in made.stdout
    assert "duplicates" not in made.stdout
    for command in ("train", "sicot", out, "--out", tmp_path / "run"), ("score", shop / "sicot", out):
        assert len(refused(*command).splitlines()) == 1
    assert "nothing to recognise" in refused("train", "sicot", out, "--out", tmp_path / "run", "--plan")
    assert "next" not in prodrec("pretrain-embeddings", out, "--dimension", 8, "--epochs", 1).stdout
    assert "exclude each other" in refused("prepare", drawn.table, "--no-images", "--features", "v.npy", "--out", "x")
    shown = prodrec("inspect", shop / "dataset", "--samples", 1).stdout
    assert "distinct vectors of 16 numbers" in shown and " x " not in shown.splitlines()[-4]


def test_a_second_stage_on_vectors(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    prodrec("retrain-head", "sicot", "dataset", "--method", "lda", "--out", "lda")
    prodrec("score", "lda", "dataset", "--operating-point", "plain", "--out", "lda.h5")
    report = json.loads(prodrec("report", "lda.h5", "--json").stdout)
    top1 = next(row for row in report["rows"] if (row["metric"], row["top"]) == ("ACC", 1))
    assert top1["cells"]["lda"]["value"] > 80
    assert "dataset contains feature vectors, not photos; omit it." in refused(
        "retrain-head", "sicot", "dataset", "--method", "lda", "--mirror", "--out", "other"
    )
    assert "--views flip: dataset contains feature vectors, not photos; omit it." in refused(
        "score", "sicot", "dataset", "--views", "flip"
    )
