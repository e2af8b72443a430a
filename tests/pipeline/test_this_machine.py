"""Costs for the presets: memory computed from shapes equals that of a network in training, and time is measured."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.training.probe import Probe
from prodrec.core.training.state_memory import state_memory
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models.families import make_recipe
from prodrec.models.situation import PhotoCost
from prodrec.pipeline.build_train_state import build_train_state
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.this_machine import ThisMachine

SMALL = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "batch_size": "4"}
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "sgd": ("visual", {}),
    "sgd without momentum": ("visual", {"momentum": "0"}),
    "adamw, average and best": ("visual", {"optimizer": "adamw", "ema": "0.5", "stop_after": "2"}),
    "frozen backbone": ("visual", {"backbone_lr_scale": "0"}),
    "not fused": ("visual", {"clip_norm": "1"}),
    "random word vectors": ("sicot", {"word_vectors": "random"}),
    "levels and attributes": ("ssmtl-ca", {"heads": "root,leaf,attributes", "embed": "16"}),
    "words": ("words", {"word_target_rows": "1"}),
}


@pytest.fixture(scope="module")
def data(drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("machine") / "dataset"
    options = PrepareOptions(columns=ColumnNames(attributes=("colour",)))
    prepare_dataset([drawn_dozen.table], images=drawn_dozen.photos, out=out, options=options)
    return open_dataset(out)


def sizes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize(("family", "settings"), CASES.values(), ids=CASES)
def test_memory_from_shapes_is_that_of_a_training(data: Dataset, family: str, settings: dict[str, str]) -> None:
    recipe = make_recipe(family, {**SMALL, **settings})
    state = build_train_state(recipe, data, None, "cpu")
    Probe(state, data, recipe.photos, photos_per_rank=4).seconds_per_batch()
    network = state.network
    computed = ThisMachine(data, "cpu", workers=0).state_memory(recipe)
    assert computed.weights == sizes(network.parameters())
    assert computed.gradients == sizes(p.grad for p in network.parameters() if p.grad is not None)
    states = (tensor for values in state.optimizer.state.values() for tensor in values.values())
    assert computed.optimizer == sizes(tensor for tensor in states if tensor.ndim)
    averages = 0 if state.average is None else sizes(state.average.module.parameters())
    assert computed.copies == averages + (computed.weights if recipe.training.keeps_best else 0)
    classifier = network.level_heads[-1].classifier  # type: ignore[attr-defined]
    assert computed.classifier_width == classifier.weight.shape[1]
    per_weight = computed.classifier / sizes(classifier.parameters())
    fused = recipe.training.clip_norm is None
    optimizer_states = 2 if recipe.training.optimizer == "adamw" else int(recipe.training.momentum > 0)
    assert per_weight == 1 + (not fused) + optimizer_states + (recipe.training.ema > 0) + recipe.training.keeps_best
    assert state_memory(network, recipe.training) == computed


def test_the_cost_of_a_photo_is_measured_once(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, recipe = ThisMachine(data, "cpu", workers=0), make_recipe("visual", SMALL)
    cost = machine.photo_cost(recipe)
    assert 0 < cost.seconds < 60 and cost.memory_bytes > 32 * 32 * 3 * 4
    monkeypatch.setattr(machine, "_measure_photos", lambda *_: pytest.fail("measured again"))
    assert machine.photo_cost(make_recipe("visual", {**SMALL, "lr": "0.5"})) is cost


def test_fewer_photos_are_measured_if_memory_is_full(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes_tried: list[int] = []

    def full_from(most: int) -> PhotoCost:
        def measure(_: ThisMachine, __: Any, photos: int) -> PhotoCost:
            sizes_tried.append(photos)
            if photos > most:
                raise torch.OutOfMemoryError
            return PhotoCost(1.0, 2.0)

        monkeypatch.setattr(ThisMachine, "_measure_photos", measure)
        monkeypatch.setattr(type(data), "rows", lambda *_: range(100))
        return ThisMachine(data, "cpu", workers=0).photo_cost(make_recipe("visual", {**SMALL, "batch_size": "64"}))

    assert full_from(16) == PhotoCost(1.0, 2.0) and sizes_tried == [32, 16]
    assert math.isinf(full_from(0).seconds)


def test_loading_and_training_overlap_on_a_gpu_alone(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe("visual", SMALL)
    state = build_train_state(recipe, data, None, "cpu")
    monkeypatch.setattr(Probe, "_seconds_of_loading", lambda *_: 6.0)
    monkeypatch.setattr(Probe, "_seconds_of_training", lambda *_: 1.0)

    def seconds(workers: int) -> float:
        return Probe(state, data, recipe.photos, photos_per_rank=4, workers=workers).seconds_per_batch()

    assert [seconds(workers) for workers in (0, 1, 3)] == [7.0, 7.0, 3.0]
    state.device = torch.device("cuda")
    assert [seconds(workers) for workers in (0, 1, 3, 8)] == [7.0, 6.0, 2.0, 1.0]
