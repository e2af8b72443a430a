"""Recognising one photo with a network whose scores are known."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from prodrec.core.base.errors import BadOption, BadPhoto, NotFound
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.data.batches import Batch
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.inference.neighbours.fused import Voter
from prodrec.inference.neighbours.protocols import RecognisedBatch
from prodrec.inference.photo_inputs import read_bytes
from prodrec.inference.predictions import top_probabilities
from prodrec.inference.recognise import Recogniser
from prodrec.inference.results import Neighbour

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("Bags", "Shoes"), ("Totes", "Boots", "Clogs")),
    parents=(np.array([-1, -1], np.int32), np.array([0, 1, 1], np.int32)),
)


class KnownNetwork:
    """The same scores for every photo, and other ones with titles; the weight of a word is a tenth of its id."""

    voters_level = "leaf"

    def recognise(self, batch: Batch, *, with_titles: bool = False) -> Any:
        self.batch = batch
        share = torch.tensor([[0.2, 0.5, 0.3]] if not with_titles else [[0.9, 0.05, 0.05]])
        root = torch.tensor([[1.0, 1.0]])
        attributes = {"colour": torch.tensor([[0.0, 3.0]])}
        scored = SimpleNamespace(scores={"root": root, "leaf": share.log() + 7}, attribute_scores=attributes)
        voters = [Voter("P7", 1, 0.9, 0.75), Voter("P3", 2, 0.8, 0.25)]
        self.vectors_BD = torch.nn.functional.normalize(batch.inputs.flatten(1)[:, :4], dim=1)
        return RecognisedBatch(scored, self.vectors_BD, [voters] * len(batch.tokens_BT) if not with_titles else None)

    def encode_titles(self, tokens_BT: torch.Tensor) -> Any:
        return SimpleNamespace(weights_BT=tokens_BT.float() / 10)

    attention = torch.arange(6.0).reshape(1, 2, 3)

    def attention_weights(self, images_BCHW: torch.Tensor) -> torch.Tensor | None:
        return self.attention

    has_cells = True

    def class_activation(self, images_BCHW: torch.Tensor, class_B: torch.Tensor) -> torch.Tensor | None:
        return torch.full((1, 2, 2), float(class_B[0])) if self.has_cells else None


def test_the_training_photos_that_vote_are_in_the_result(recogniser: Recogniser) -> None:
    result = recogniser.recognise(png(), top=1)
    assert result.neighbours == [Neighbour("P7", TREE.path(1, "leaf"), 0.9, 0.75)]
    assert result.as_json()["neighbours"][0] == {
        "id": "P7",
        "path": [*TREE.path(1, "leaf")],
        "cosine": 0.9,
        "share": 0.75,
    }
    without = recogniser.recognise(png(), title="boots", with_titles=True)
    assert without.neighbours is None and "neighbours" not in without.as_json()
    (pooled,) = recogniser.predict([png()], pool=True)
    assert pooled.neighbours is None and pooled.vector_D is None
    assert np.array_equal(recogniser.recognise(png()).vector_D, recogniser.network.vectors_BD[0])  # type: ignore[attr-defined,arg-type]


@pytest.fixture
def recogniser() -> Recogniser:
    tokenizer = choose_tokenizer("jieba")
    vocabulary = Vocabulary(("red", "boots"), np.array([5, 2]), tokenizer.name, tokenizer.version)
    attributes = (Attribute("size", ("S", "L")), Attribute("colour", ("blue", "red")))
    run: Any = SimpleNamespace(taxonomy=TREE, attributes=attributes, vocabulary=vocabulary, stored_side=256)
    return Recogniser(run, KnownNetwork(), PhotoConfig(image_size="20x30"), torch.device("cpu"))


def png(height: int = 50, width: int = 30, colour: tuple[int, int, int] = (200, 100, 50)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, "PNG")
    return stream.getvalue()


def test_the_best_of_every_level_with_their_paths(recogniser: Recogniser) -> None:
    recognised = recogniser.recognise(png(), top=2)
    assert [(p.path, round(p.confidence, 6)) for p in recognised.levels["leaf"]] == [
        (("Shoes", "Boots"), 0.5),
        (("Shoes", "Clogs"), 0.3),
    ]
    assert [(p.path, p.confidence) for p in recognised.levels["root"]] == [(("Bags",), 0.5), (("Shoes",), 0.5)]
    assert list(recognised.attributes) == ["colour"] and recognised.attributes["colour"][0].name == "red"
    assert recognised.attributes["colour"][0].confidence == pytest.approx(1 / (1 + np.exp(-3)))
    assert recognised.words is None and recognised.saliency is None


def test_the_network_sees_the_normalised_middle_of_the_photo(recogniser: Recogniser) -> None:
    recogniser.recognise(png())
    images_BCHW = recogniser.network.batch.inputs  # type: ignore[attr-defined]
    photos = PhotoConfig()
    assert tuple(images_BCHW.shape) == (1, 3, 20, 30)
    expected = (np.array([200, 100, 50]) / 255 - photos.mean) / photos.std
    np.testing.assert_allclose(images_BCHW[0, :, 10, 15], expected, atol=0.02)


def test_html_is_removed_from_a_title(recogniser: Recogniser) -> None:
    recognised = recogniser.recognise(png(), title="<b>Red</b>&nbsp;boots &amp;amp; 5 &lt; 7")
    assert recognised.words is not None
    assert [word.word for word in recognised.words] == ["red", "boots", "5", "7"]


def test_missing_tokenizer_matters_only_for_titles(recogniser: Recogniser) -> None:
    vocabulary = Vocabulary(("red",), np.array([5]), "jieba klingon=tlh", "0.42.1 klingon=1")
    recogniser.run.vocabulary = vocabulary  # type: ignore[misc]
    assert recogniser.recognise(png()).words is None
    with pytest.raises(BadOption, match="klingon=tlh"):
        recogniser.recognise(png(), title="red")


def test_words_have_weights_in_their_order_and_unknown_words_none(recogniser: Recogniser) -> None:
    recognised = recogniser.recognise(png(), title="BOOTS, shiny! red")
    assert recognised.words is not None
    assert [(word.word, word.weight) for word in recognised.words] == [
        ("boots", pytest.approx(0.2)),
        ("shiny", None),
        ("red", pytest.approx(0.1)),
    ]
    assert recognised.levels["leaf"][0].name == "Boots"
    assert recogniser.recognise(png(), title="red", with_titles=True).levels["leaf"][0].name == "Totes"
    nothing = recogniser.recognise(png(), title="…")
    assert nothing.words == []


def test_saliency_contains_the_part_of_the_photo_that_is_seen(recogniser: Recogniser) -> None:
    seen = recogniser.recognise(png(50, 30), saliency=True).saliency
    assert seen is not None and seen.weights_hw.tolist() == [[0, 1, 2], [3, 4, 5]] and seen.method == "attention"
    assert (seen.rows, seen.columns) == (slice(15, 35), slice(0, 30))


@pytest.mark.parametrize("attention", [None, torch.tensor([[[0.50, 0.52], [0.45, 0.51]]])])
def test_without_attention_or_where_it_is_flat_the_best_class_shows_it(recogniser: Recogniser, attention: Any) -> None:
    recogniser.network.attention = attention  # type: ignore[attr-defined]
    seen = recogniser.recognise(png(), saliency=True).saliency
    best = recogniser.network.recognise(recogniser.network.batch)[0].scores["leaf"].argmax()  # type: ignore[attr-defined]
    assert seen is not None and seen.method == "grad-cam" and seen.weights_hw.tolist() == [[float(best)] * 2] * 2
    recogniser.network.has_cells = False  # type: ignore[attr-defined]
    if attention is None:
        with pytest.raises(BadOption, match="no attention, and has no feature map of several cells"):
            recogniser.recognise(png(), saliency=True)
    else:
        seen = recogniser.recognise(png(), saliency=True).saliency
        assert seen is not None and seen.method == "attention"


def test_as_json_is_plain(recogniser: Recogniser) -> None:
    import json

    recognised = recogniser.recognise(png(), title="red zzz", saliency=True).as_json()
    assert json.loads(json.dumps(recognised, allow_nan=False)) == recognised
    assert recognised["levels"]["leaf"][0]["path"] == ["Shoes", "Boots"] and recognised["words"][1]["weight"] is None
    assert recognised["saliency"]["rows"] == [15, 35] and len(recognised["attributes"]["colour"]) == 2


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "empty"), (b"GIF89a", "undecodable|truncated"), (png()[:60], "trunc")]
)
def test_bytes_that_are_no_photo(recogniser: Recogniser, data: bytes, message: str) -> None:
    with pytest.raises(BadPhoto, match=message):
        recogniser.recognise(data)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.jpg does not exist"):
        read_bytes(tmp_path / "none.jpg")
    with pytest.raises(BadPhoto, match="cannot be read"):
        read_bytes(tmp_path)


@pytest.mark.parametrize("top", [1, 5, 199, 200, 300])
def test_the_best_of_many_are_those_of_a_full_sort(top: int) -> None:
    scores = torch.randn(1, 200, generator=torch.Generator().manual_seed(0)).mul(2).round()  # with many ties
    expected = np.argsort(-scores[0].numpy(), kind="stable")[:top]
    assert [number for number, _ in top_probabilities(scores[0], top)] == expected.tolist()
