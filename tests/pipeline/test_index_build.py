"""An index of a dataset: its rows against the dataset and the network, and the points that are chosen."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from prodrec.core.base.errors import BadOption, Mismatch, NotFound, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.core.training.run import open_run
from prodrec.index.product_index import ProductIndex
from prodrec.inference.neighbours.training_features import NEIGHBOURS_FILE, read_training_features
from prodrec.pipeline.index_build import build_index
from prodrec.pipeline.index_points import WAYS, describe
from prodrec.pipeline.load import load
from prodrec.pipeline.scoring_network import ScoringNetwork


@pytest.fixture(scope="module")
def place(indexed: Path) -> Path:
    return indexed


def test_rows_are_those_of_the_dataset(place: Path) -> None:
    index, data = ProductIndex.open(place / "index"), open_dataset(place / "dataset")
    frame = index.frame("sku", "photo", "title", "path", "tags", "predicted", "photos")
    products = data.products()
    assert sorted(zip(frame["sku"], frame["title"], strict=True)) == sorted(
        zip(products["id"], products["title"].fill_null(""), strict=True)
    )
    rows = dict(zip(products["id"], products["row"], strict=True))
    for row in frame.iter_rows(named=True):
        number = rows[row["sku"]]
        assert tuple(row["path"]) == data.taxonomy.known_path(data.labels_NL[number].tolist()) and not row["predicted"]
        colour = products["attribute_colour"][number]
        assert row["tags"][:1] == ([] if colour is None else [colour])[:1] or colour is None
        with Image.open(io.BytesIO(index.thumbnail(row["sku"]) or b"")) as image:
            assert max(image.size) <= 160
    assert index.header.splits == ("train", "test", "validation")


def test_vectors_are_those_with_which_training_photos_vote(place: Path) -> None:
    index, run = ProductIndex.open(place / "index"), open_run(place / "runs/visual")
    features = read_training_features(run.path / NEIGHBOURS_FILE, run_fingerprint=run.fingerprint)
    frame, vectors_Nd = index.table.frame_and_vectors("sku")
    by_sku = dict(zip(frame["sku"], vectors_Nd.astype(np.float32), strict=True))
    assert len(features) > 20
    for sku, vector_d in zip(features.ids, features.vectors_Nd.astype(np.float32), strict=True):
        assert by_sku[sku] @ vector_d > 0.999, "features in float16 were projected there"


def test_points_are_chosen_without_the_photos_themselves(place: Path) -> None:
    """With its own product among the neighbours, a photo would find itself, and the vote would be always right."""
    header = ProductIndex.open(place / "index").header
    assert set(header.points) == set(WAYS) == set(header.calibration)
    assert all(set(points) == {"natural", "balanced"} for points in header.points.values())
    rows = {(row["by"], row["name"]): row for row in header.validation}
    assert len(rows) == 6 and rows["products", "natural"]["top1"] < 1
    assert rows["both", "natural"]["top1"] >= max(rows["classes", "natural"]["top1"] - 0.1, 0)
    assert header.validation_photos > 0 and len(describe(header)) == 7
    assert "decide" in describe(header)[2] and "classes, natural: tau" in describe(header)[0]


def test_some_splits_and_tags_of_a_run_with_attributes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def batches(self: ScoringNetwork, *arguments: Any, **options: Any) -> Any:
        passes.append(arguments)
        return original(self, *arguments, **options)

    original = ScoringNetwork.batches
    monkeypatch.setattr(ScoringNetwork, "batches", batches)
    built = build_index("visual", out="small", splits="test", workers=0)
    assert len(passes) == 1, "the network sees the validation photos once"
    data = open_dataset(folder / "dataset")
    assert built.photos == len(data.rows("test")) and built.index.header.splits == ("test",)
    assert built.as_json()["photos"] == built.photos and f"small: {built.photos} photos" in str(built)
    assert built.index.header.run_path == "../runs/visual"


def test_what_cannot_be_indexed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputExists, match="index exists already; add --force to replace it"):
        build_index("visual")
    (folder / "other").mkdir()
    (folder / "other/file").touch()
    with pytest.raises(OutputExists, match="is not a prodrec index"):
        build_index("visual", out="other", force=True)
    with pytest.raises(NotFound, match="none does not exist"):
        build_index("none", out="new")
    with pytest.raises(BadOption, match="there is no split 'training'"):
        build_index("visual", out="new", splits="training")
    with pytest.raises(BadOption, match="--search fast"):
        build_index("visual", out="new", search="fast")
    header = json.loads(Path("dataset/dataset.json").read_text("utf-8"))
    Path("dataset/dataset.json").write_text(json.dumps({**header, "fingerprint": "other"}), "utf-8")
    with pytest.raises(Mismatch, match="--other-dataset"):
        build_index("visual", out="new")
    assert not Path("new").exists()
    torch.set_num_threads(1)
    built = build_index("visual", out="new", other_dataset=True, search="approximate", workers=0)
    assert built.index.header.search.probes >= 1 and "lists contain" in str(built.index.header.search)


def test_photos_of_a_product_are_numbered(shop: object, indexed: Path, tmp_path: Path) -> None:
    from prodrec.pipeline.index_build import products_of

    from .conftest import Shop

    assert isinstance(shop, Shop)
    rows = [
        {"id": "A", "image": shop.photo("a.png"), "title": "red shoe", "root": "Shoes", "leaf": "Boots"},
        {"id": "B", "image": shop.photo("b.png"), "title": "", "root": "Bags", "leaf": "Totes"},
        {"id": "A", "image": shop.photo("a2.png"), "title": "red shoe", "root": "Shoes", "leaf": "Boots"},
    ]
    data = shop.prepare(shop.table(rows))
    first, second = products_of(data, np.arange(3))
    assert (first.sku, first.rows, first.title, first.path) == ("A", (0, 2), "red shoe", ("Shoes", "Boots"))
    assert [location.read() for location in first.photos] == [data.photos.read(row) for row in (0, 2)]  # type: ignore[union-attr]
    assert (second.sku, second.title, len(second.photos)) == ("B", "", 1)
    assert isinstance(data.products(), pl.DataFrame) and load(indexed / "runs/visual").run.finished
