"""Scores of several views of every photo: the mean of their scores, recorded and named in the files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.core.data.batches import RowBatches
from prodrec.core.data.dataset import open_dataset
from prodrec.core.data.photos.views import read_photo, scoring_views
from prodrec.core.scores.reader import open_scores
from prodrec.core.training.run import open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models.families import Recipe, make_recipe
from prodrec.pipeline.load import load, load_network
from prodrec.pipeline.report import report
from prodrec.pipeline.score import score
from prodrec.pipeline.train import train_recipe

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32x24", "lr": "0.001", "epochs": "2"}
SETTINGS |= {"batch_size": "16", "optimizer": "adamw", "precision": "fp32"}


@pytest.fixture(scope="module")
def place(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("views")
    torch.set_num_threads(1)
    shutil.copytree(drawn_dataset, place / "dataset")
    train_recipe(make_recipe("visual", SETTINGS), dataset=place / "dataset", out=place / "runs/visual", workers=0)
    return place


def read(path: str) -> tuple[NDArray[Any], NDArray[Any]]:
    with open_scores(Path(path)) as scores:
        chunk = next(scores.chunks())
        return chunk.rows_R, chunk.scores["leaf"]


@pytest.mark.parametrize(("views", "count"), [("flip", 2), ("five-crop", 5)])
def test_scores_are_the_mean_over_the_views(folder: Path, views: str, count: int) -> None:
    files = score("visual", operating_point="plain", views=views, workers=0).files
    assert [path.name for path in files] == [f"visual@plain-{views}.h5"]
    rows, written = read(f"scores/visual@plain-{views}.h5")
    run, data = open_run(Path("runs/visual")), open_dataset(Path("dataset"))
    recipe = Recipe.from_json(run.recipe)
    network = load_network(run, recipe, torch.device("cpu"))
    batch = RowBatches(data, recipe.photos, augment=False, views=views).batch(rows)
    batch = batch.to_device(torch.device("cpu"), recipe.photos)
    with torch.inference_mode():
        scores_VBC = network.scores_of(network(batch.inputs)).scores["leaf"].view(count, len(rows), -1)
    np.testing.assert_allclose(written, scores_VBC.mean(0).numpy(), atol=2e-3, rtol=2e-3)
    assert scores_VBC.std(0).max() > 0.01


def test_views_are_recorded(folder: Path) -> None:
    files = [*score("visual", workers=0).files, *score("visual", views="flip", workers=0).files]
    names = ["visual.h5", "visual@balanced.h5", "visual-flip.h5", "visual@balanced-flip.h5"]
    assert [path.name for path in files] == names
    assert score("visual", views="flip", workers=0).up_to_date == tuple(files[2:])
    with open_scores(files[3]) as flipped, open_scores(files[0]) as plain:
        assert flipped.origin.views == "flip" and flipped.origin.title == "visual balanced flip"
        assert plain.origin.views == "centre" and plain.origin.title == "visual" and "views" not in plain.header
    assert "visual balanced flip" in str(report(files, mean=True))  # no repeat of the scores of one view
    with pytest.raises(OutputExists, match=r"visual.h5 exists and it contains the scores of other views of the photos"):
        score("visual", views="flip", out="scores/visual.h5", workers=0)


def test_the_best_classes_of_several_views(folder: Path) -> None:
    score("visual", out="all.h5", views="flip", workers=0)
    score("visual", out="best.h5", views="flip", top_k=2, workers=0)
    with open_scores(Path("best.h5")) as scores:
        chunk = next(scores.chunks())
    assert chunk.classes is not None
    expected = np.take_along_axis(read("all.h5")[1], chunk.classes["leaf"], 1)
    np.testing.assert_allclose(expected, chunk.scores["leaf"], atol=2e-3)


def test_photo_files_are_recognised_by_the_same_views(folder: Path, drawn: DrawnCatalogue) -> None:
    photo = next(path for path in sorted(drawn.photos.rglob("*.jpg")) if path.stat().st_size > 1000)
    run = open_run(Path("runs/visual"))
    recipe = Recipe.from_json(run.recipe)
    recogniser = load("visual", operating_point="plain", views="five-crop", device="cpu")
    best = recogniser.predict(photo, top=1)[0].levels["leaf"][0]
    views = scoring_views(read_photo(photo.read_bytes(), stored_side=run.stored_side), recipe.photos, "five-crop")
    source = torch.stack(views).float() / 255
    images = (source - torch.tensor(recipe.photos.mean).view(3, 1, 1)) / torch.tensor(recipe.photos.std).view(3, 1, 1)
    network = load_network(run, recipe, torch.device("cpu"))
    with torch.inference_mode():
        mean_C = network.scores_of(network(images)).scores["leaf"].mean(0)
    assert best.confidence == pytest.approx(float(mean_C.softmax(0).max()), rel=1e-3)
    with pytest.raises(BadOption, match="saliency shows one view of a photo, and views=five-crop averages several"):
        recogniser.recognise(photo.read_bytes(), saliency=True)


def test_unknown_views(folder: Path) -> None:
    with pytest.raises(BadOption, match=r"--views ten-crop: expected centre, flip, five-crop\.$"):
        score("visual", views="ten-crop")
    with pytest.raises(BadOption, match=r"views='ten-crop': expected centre, flip, five-crop\.$"):
        load("visual", views="ten-crop")
