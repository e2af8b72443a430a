"""A catalogue with several photos of each product, from the table to pooled results."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.scores.reader import open_scores
from prodrec.demo.catalogue import DrawnCatalogue

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = ["backbone=squeezenet1_1", "weights=none", "image_size=32", "epochs=1", "batch_size=8", "heads=levels"]


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def scored(one_thread: None, drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dataset/ of 12 photos, whose ids are seven products, runs/tiny and scores/tiny.h5 of all splits."""
    place = tmp_path_factory.mktemp("pooled")
    shutil.copytree(drawn_dozen.photos, place / "photos")
    with drawn_dozen.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    of_leaf: dict[Any, list[dict[str, str]]] = {}
    for row in rows:
        of_leaf.setdefault(row["leaf"], []).append(row)
    for same in of_leaf.values():
        for first, second in zip(same[::2], same[1::2], strict=False):
            second["id"] = first["id"]
    with (place / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    tiny = [part for setting in TINY for part in ("--set", setting)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        call("prepare", "products.csv", "--images", "photos", "--drop-rare", 0)
        call("train", "bcnn", *tiny, "--workers", 0, "--preset", "paper", "--out", "runs/tiny")
        call("score", "tiny", "--split", "all", "--workers", 0)
    return place


@pytest.fixture
def dataset(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.chdir(shutil.copytree(scored, tmp_path / "copy"))
    return open_dataset(Path("dataset"))


def test_products_are_known_from_the_table_to_the_scores(dataset: Dataset) -> None:
    ids = dataset.products()["id"].to_list()
    assert dataset.product_count == len(set(ids)) < len(ids) == 12
    with open_scores(Path("scores/tiny.h5")) as scores:
        (chunk,) = scores.chunks()
    for row, first in zip(chunk.rows_R.tolist(), chunk.product_R.tolist(), strict=True):
        assert first == ids.index(ids[row]) and dataset.split_N[first] == dataset.split_N[row]
        assert chunk.group_R[row] == chunk.group_R[first]


def test_a_report_of_products(dataset: Dataset) -> None:
    rows = dataset.rows("train")
    products = len(np.unique(dataset.product_N[rows]))
    plain, pooled = (
        json.loads(call("report", "--split", "train", *more, "--json").stdout) for more in ([], ["--pool-photos"])
    )
    assert plain["rows"][0]["cells"]["tiny"]["images"] == len(rows)
    assert pooled["rows"][0]["cells"]["tiny"]["images"] == products < len(rows)
    assert any(f"{products} products, {len(rows)} photos pooled" in note for note in pooled["notes"])
    assert any("--pool-photos" in note for note in plain["notes"])


def test_refined_scores_are_pooled_too(dataset: Dataset) -> None:
    call("refine-mcr", "scores/tiny.h5", "--fit", "train", "--folds", 2, "--lambda", 10)
    report = json.loads(call("report", "scores/tiny-mcr.h5", "--split", "train", "--pool-photos", "--json").stdout)
    assert any("photos pooled" in note for note in report["notes"])


def test_explain_pools_the_photos_of_a_product(dataset: Dataset) -> None:
    products = dataset.products()
    with open_scores(Path("scores/tiny.h5")) as scores:
        (chunk,) = scores.chunks()
        names = scores.taxonomy.leaves
    first = int(np.flatnonzero(chunk.product_R != chunk.rows_R)[0])
    rows = np.flatnonzero(chunk.product_R == chunk.product_R[first])
    files = [Path("photos") / products["image"][int(row)] for row in rows]
    assert len(files) == 2
    mean = chunk.scores["leaf"][rows].astype(np.float64).mean(axis=0)
    expected = np.exp(mean) / np.exp(mean).sum()
    (photo,) = json.loads(call("explain", "tiny", *files, "--pool", "--json").stdout)["photos"]
    assert photo["photo"] == str(files[0]) and photo["pooled"] == [str(file) for file in files]
    assert photo["photos_pooled"] == 2
    confidences = {p["class"]: p["confidence"] for p in photo["levels"]["leaf"]}
    np.testing.assert_allclose([confidences[name] for name in names], expected, atol=2e-3)
    text = call("explain", "tiny", *files, "--pool").stdout
    assert text.splitlines()[0] == f"2 photos pooled: {files[0]}, {files[1]}"
    assert len(json.loads(call("explain", "tiny", *files, "--json").stdout)["photos"]) == 2
