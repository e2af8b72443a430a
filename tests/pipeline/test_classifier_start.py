"""Classifiers of a training that start from their classes, before the first step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadOption
from prodrec.core.data.batches import RowBatches
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.titles.class_titles import ClassTitles
from prodrec.models.families import Recipe, make_recipe
from prodrec.pipeline.build_train_state import build_train_state
from prodrec.pipeline.classifier_start import (
    PHOTOS_OF_A_CLASS,
    TITLES_OF_A_CLASS,
    rows_of_classes,
    start_classifiers,
)

SMALL = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "batch_size": "16", "precision": "fp32"}


@pytest.fixture(scope="module")
def data(drawn_dataset: Path) -> Dataset:
    return open_dataset(drawn_dataset)


def started(data: Dataset, recipe: Recipe):
    state = build_train_state(recipe, data, None, "cpu")
    start_classifiers(state, recipe, data, workers=0)
    return state


def test_rows_have_the_direction_of_the_mean_feature_of_their_class(data: Dataset) -> None:
    recipe = make_recipe("bmtl-rl", {**SMALL, "classifier_start": "class-means", "ema": "0.9"})
    state = started(data, recipe)
    network = state.network.eval()
    rows = rows_of_classes(data, network.level_heads[-1].level, PHOTOS_OF_A_CLASS)
    batch = RowBatches(data, recipe.photos, augment=False).batch(rows).to_device(state.device, recipe.photos)
    with torch.inference_mode():
        visual_BD = network.features(batch).visual_BD
    for head in network.level_heads:
        inputs_BD, labels_B = head.private(visual_BD), batch.labels_BL[:, head.column]
        for number in labels_B.unique().tolist():
            mean_D = inputs_BD[labels_B == number].mean(0)
            cosine = torch.cosine_similarity(mean_D, head.classifier.weight[number].detach(), dim=0)
            assert float(cosine) == pytest.approx(1, abs=1e-4)
    average = state.network_to_save.state_dict()
    assert all(torch.equal(value, average[key]) for key, value in network.state_dict().items())


def test_a_training_starts_better_than_from_random_rows(data: Dataset) -> None:
    losses = {}
    for start in ("random", "class-means"):
        recipe = make_recipe("visual", {**SMALL, "classifier_start": start})
        state = started(data, recipe)
        rows = data.rows("train")
        batch = RowBatches(data, recipe.photos, augment=False).batch(rows).to_device(state.device, recipe.photos)
        with torch.inference_mode():
            scores_BC = state.network.eval().score(batch).scores[data.taxonomy.leaf_level]
        losses[start] = float((scores_BC.argmax(1) == batch.labels_BL[:, -1]).float().mean())
    assert losses["class-means"] > losses["random"] + 0.1


def test_many_photos_of_a_class_are_thinned_out_evenly(data: Dataset) -> None:
    level = data.taxonomy.leaf_level
    rows = rows_of_classes(data, level, 3)
    assert len(set(rows.tolist())) == len(rows) and set(rows.tolist()) <= set(data.rows("train").tolist())
    kept, photos = (np.bincount(data.labels_NL[r, -1], minlength=20) for r in (rows, data.rows("train")))
    assert kept.tolist() == np.minimum(photos, 3).tolist() and photos.max() > 3


def test_attributes_alone_have_no_classifier_to_start(data: Dataset) -> None:
    recipe = make_recipe("visual", {**SMALL, "heads": "attributes", "classifier_start": "class-means"})
    with pytest.raises(BadOption, match="classifier_start=class-means is for the classifiers of levels, and heads has"):
        started(data, recipe)


@pytest.fixture
def tiny_model(tmp_path: Path) -> Any:
    """A small model of open_clip whose weights are in weights.pt, and its name."""
    open_clip = pytest.importorskip("open_clip")
    vision = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    (tmp_path / "tiny-texts.json").write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(tmp_path / "tiny-texts.json")
    torch.manual_seed(6)
    model = open_clip.create_model("tiny-texts", pretrained_text=False).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    return model


@pytest.mark.parametrize("start", ["class-names", "class-titles", "class-titles of a class table too"])
def test_rows_start_from_texts_of_classes(data: Dataset, tmp_path: Path, tiny_model: Any, start: str) -> None:
    import open_clip

    start, _, with_table = start.partition(" ")
    class_titles = [None, *(f"a fine {leaf}" for leaf in data.taxonomy.leaves[1:])]
    if with_table:
        data = replace(data, class_titles=ClassTitles(class_titles, [None] * len(class_titles)))
    settings = {"backbone": "open_clip:tiny-texts", "weights": str(tmp_path / "weights.pt"), "classifier_start": start}
    (head,) = started(data, make_recipe("visual", {**SMALL, **settings})).network.level_heads
    tokenizer, titles = open_clip.get_tokenizer("tiny-texts"), data.products().sort("row")["title"].to_list()
    for number, name in enumerate(data.taxonomy.names[-1]):
        texts = [f"a photo of a {name}"]
        if start == "class-titles":
            rows = rows_of_classes(data, data.taxonomy.leaf_level, TITLES_OF_A_CLASS)
            texts = [titles[row] for row in rows if data.labels_NL[row, -1] == number and titles[row]]
            texts += [class_titles[number]] if with_table and class_titles[number] else []
        with torch.inference_mode():
            expected_D = tiny_model.encode_text(tokenizer(texts), normalize=True).mean(0)
        cosine = torch.cosine_similarity(expected_D, head.classifier.weight[number].detach(), dim=0)
        assert float(cosine) == pytest.approx(1, abs=1e-5)


def test_a_run_has_no_text_tower(tmp_path: Path, tiny_model: Any) -> None:
    from prodrec.models.open_clip_backbones import embed_texts

    (tmp_path / "model.safetensors").touch()
    with pytest.raises(BadOption, match=r"need a text tower, and .* is a run, .* set classifier_start=class-means"):
        embed_texts("tiny-texts", str(tmp_path), ["a photo of a shoe"])
