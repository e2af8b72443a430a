"""Recognising a product by several photos: the mean of their scores, computed by hand."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from prodrec.core.base.errors import BadOption, BadPhoto
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.inference.neighbours.protocols import RecognisedBatch
from prodrec.inference.recognise import Recogniser
from prodrec.inference.results import FoundProduct

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("Bags", "Shoes"), ("Totes", "Boots", "Clogs")),
    parents=(np.array([-1, -1], np.int32), np.array([0, 1, 1], np.int32)),
)


class ScriptedNetwork:
    """Returns the rows of `leaf` in the order in which photos come; the root and colour follow from the same rows."""

    def __init__(self, leaf: list[list[float]]) -> None:
        self.leaf = torch.tensor(leaf)
        self.seen = 0
        self.with_titles = False

    voters_level = None

    def recognise(self, batch: Batch, *, with_titles: bool = False) -> Any:
        self.with_titles = with_titles
        rows = self.leaf[self.seen : self.seen + len(batch.tokens_BT)]
        self.seen += len(rows)
        scores = {"root": rows[:, :2], "leaf": rows}
        scored = SimpleNamespace(scores=scores, attribute_scores={"colour": rows[:, 1:]})
        products = [[FoundProduct(f"P{self.seen % 2}", "", (), (), False, 0, self.seen / 10)]] * len(rows)
        return RecognisedBatch(scored, None, None, products)

    def encode_titles(self, tokens_BT: torch.Tensor) -> Any:
        return SimpleNamespace(weights_BT=tokens_BT.float() / 10)


def make_recogniser(leaf: list[list[float]]) -> Recogniser:
    tokenizer = choose_tokenizer("jieba")
    vocabulary = Vocabulary(("red", "boots"), np.array([5, 2]), tokenizer.name, tokenizer.version)
    attributes = (Attribute("colour", ("blue", "red")),)
    run: Any = SimpleNamespace(taxonomy=TREE, attributes=attributes, vocabulary=vocabulary, stored_side=256)
    network: Any = ScriptedNetwork(leaf)
    return Recogniser(run, network, PhotoConfig(image_size="20x30"), torch.device("cpu"))


def photos(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (30, 50), (40 * i, 0, 0)) for i in range(count)]


LEAF = [[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [-1.0, 3.0, 3.0]]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_one_result_from_the_mean_of_the_scores(batch_size: int) -> None:
    """The means are 1, 2 and 1: Boots, although the first photo alone is a Tote."""
    (result,) = make_recogniser(LEAF).predict(photos(3), pool=True, batch_size=batch_size)
    assert result.pooled == 3 and "3 photos pooled" in repr(result) and result.as_json()["photos_pooled"] == 3
    assert [p.name for p in result.levels["leaf"]] == ["Boots", "Totes", "Clogs"]
    total = np.exp(2) + 2 * np.exp(1)
    assert [p.confidence for p in result.levels["leaf"]] == pytest.approx(np.exp([2, 1, 1]) / total)
    assert result.levels["root"][0].name == "Shoes"
    assert result.levels["root"][0].confidence == pytest.approx(np.exp(2) / (np.exp(2) + np.exp(1)))
    assert result.attributes["colour"][0].name == "blue"  # means 2 and 1
    assert result.photo_CHW[0].max() == 0  # the first photo


def test_without_pool_each_photo_has_its_result() -> None:
    results = make_recogniser(LEAF).predict(photos(3))
    assert [result.levels["leaf"][0].name for result in results] == ["Totes", "Boots", "Boots"]
    assert all(result.pooled is None and "photos_pooled" not in result.as_json() for result in results)


def test_one_photo_pooled_is_the_photo() -> None:
    (alone,), (pooled,) = (make_recogniser(LEAF).predict(photos(1), pool=pool) for pool in (False, True))
    assert pooled.levels == alone.levels and pooled.attributes == alone.attributes and pooled.pooled == 1


def test_one_title_for_all_photos() -> None:
    recogniser: Any = make_recogniser(LEAF)
    (result,) = recogniser.predict(photos(3), titles="red boots", with_titles=True, pool=True, batch_size=2)
    assert recogniser.network.with_titles
    assert [(word.word, word.weight) for word in result.words] == [
        ("red", pytest.approx(0.1)),
        ("boots", pytest.approx(0.2)),
    ]
    with pytest.raises(BadOption, match="2 titles for the photos of one product; give one title with pool=True"):
        recogniser.predict(photos(2), titles=["red", "boots"], pool=True)


def test_no_photo_to_pool() -> None:
    with pytest.raises(BadOption, match="no photo to pool; give at least one"):
        make_recogniser(LEAF).predict([], pool=True)


def test_a_broken_photo_is_named() -> None:
    stream = io.BytesIO()
    photos(1)[0].save(stream, "PNG")
    with pytest.raises(BadPhoto, match=r"photo 1 \(from 0\)"):
        make_recogniser(LEAF).predict([stream.getvalue(), b"no photo"], pool=True)


def test_the_products_nearest_to_any_of_the_photos() -> None:
    (pooled,) = make_recogniser(LEAF).predict(photos(3), pool=True, batch_size=1)
    assert [(product.sku, product.cosine) for product in pooled.products or ()] == [("P1", 0.3), ("P0", 0.2)]
    assert pooled.as_json()["products"][0]["sku"] == "P1"
