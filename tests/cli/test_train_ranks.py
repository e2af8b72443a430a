"""The same command on several ranks computes what one process computes: losses of every step, weights, accuracies.

The trainings use float64, where only a mistake makes a visible difference: batch norm over a few rows amplifies
rounding errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.data.batches import Batch
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.training import train as training
from prodrec.demo.catalogue import draw_catalogue
from prodrec.models.families import make_recipe
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.train import train_recipe

USUAL = {"backbone": "squeezenet1_1", "weights": "none", "word_vectors": "random", "image_size": "32", "dropout": "0"}
USUAL |= {"epochs": "1.5", "lr": "0.01", "batch_size": "13", "semantic_spread": "0.1", "precision": "fp32"}
CASES: dict[str, dict[str, str]] = {
    "synchronised batch norm": {"backbone": "resnet18", "label_smoothing": "0.1", "epochs": "0.5"},
    "frozen batch norm": {"backbone": "shufflenet_v2_x0_5", "freeze_batch_norm": "true", "epochs": "0.5"},
    "accumulated, clipped": {"accumulate": "2", "clip_norm": "0.3"},
    "two stages, decayed by stage": {
        "backbone": "shufflenet_v2_x0_5",
        "head_epochs": "0.4",
        "epochs": "0.8",
        "layer_lr_decay": "0.7",
        "classifier_start": "class-means",
    },
    "early stop, sharded": {"epochs": "5", "stop_after": "1", "lr": "1e-9", "classifier": "sharded", "ema": "0.5"},
    "average, best": {"ema": "0.5", "keep": "best", "optimizer": "adamw", "lr": "0.001"},
    "sharded": {"classifier": "sharded", "logit_adjustment": "1"},
    "sharded, not fused": {"classifier": "sharded", "clip_norm": "0.3"},
    "cosine with margins, deferred weights": {
        "classifier": "sharded",
        "classifier_form": "cosine",
        "ldam_margin": "0.5",
        "class_weights": "effective",
        "class_weights_from": "0.5",
    },
    "soft labels by the tree": {"classifier": "sharded", "tree_smoothing": "6", "ema": "0.5", "heads": "levels"},
    "sampled classes": {"sampler": "classes", "logit_adjustment": "1"},
    "photos in pairs": {
        "mixup": "0.4",
        "cutmix": "1",
        "pair_probability": "0.6",
        "heads": "root,leaf,attributes,words",
        "word_target_rows": "2",
        "attributes": "colour",
        "classifier": "sharded",
    },
    "two heads, one attribute": {"heads": "root,leaf,attributes", "attributes": "colour", "classifier": "sharded"},
}
ON_THREE = ("synchronised batch norm", "two heads, one attribute")


@dataclasses.dataclass
class TrainingResult:
    losses: list[list[float]]
    weights: dict[str, NDArray[Any]]
    epochs: list[dict[str, Any]]


def run_cases(names: tuple[str, ...], dataset: Path, folder: Path) -> dict[str, TrainingResult]:
    """Train every case in float64. Return losses, weights and epochs by the name of the case."""
    to_device, train_steps = Batch.to_device, training.train_steps
    results = {}
    torch.set_default_dtype(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "to_device", lambda *args, **kwargs: _doubled(to_device(*args, **kwargs)))
        for name in names:
            losses: list[list[float]] = []

            def record_steps(*args: Any, losses: list[list[float]] = losses, **kwargs: Any) -> Any:
                for step in train_steps(*args, **kwargs):
                    losses.append([*step.losses.values(), step.photos])
                    yield step

            patch.setattr(training, "train_steps", record_steps)
            run = train_recipe(
                make_recipe("sicot", {**USUAL, **CASES[name]}), dataset=dataset, out=folder / name, workers=0
            )
            weights = {key: tensor.numpy() for key, tensor in run.weights().items()}
            results[name] = TrainingResult(losses, weights, run.header["result"]["epochs"])
    torch.set_default_dtype(torch.float32)
    return results


def _doubled(batch: Batch) -> Batch:
    return dataclasses.replace(batch, inputs=batch.inputs.double())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    drawn = draw_catalogue(folder, products=80, leaves=5, size=32, dirt=False)
    options = PrepareOptions(columns=ColumnNames(attributes=("colour",)))
    prepare_dataset([drawn.table], images=drawn.photos, out=folder / "dataset", options=options)
    return folder / "dataset"


@pytest.fixture(scope="module")
def alone(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainingResult]:
    return run_cases(tuple(CASES), dataset, tmp_path_factory.mktemp("alone"))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("ranks", "names"), [(2, tuple(CASES)), (3, ON_THREE)])
def test_ranks_equal_one_process(
    ranks: int,
    names: tuple[str, ...],
    on_ranks: Callable[..., list[Any]],
    dataset: Path,
    alone: dict[str, TrainingResult],
    tmp_path: Path,
) -> None:
    results_of_ranks = on_ranks(ranks, run_cases, names, dataset, tmp_path)
    assert [epoch["epoch"] for epoch in alone["early stop, sharded"].epochs] == [1, 2]
    for name in names:
        expected = alone[name]
        for results in results_of_ranks:
            result = results[name]
            np.testing.assert_allclose(result.losses, expected.losses, rtol=1e-6, err_msg=name)
            for epoch, expected_epoch in zip(result.epochs, expected.epochs, strict=True):
                assert epoch == pytest.approx(expected_epoch, rel=1e-6), name
            assert result.weights.keys() == expected.weights.keys()
            for key, value in expected.weights.items():
                np.testing.assert_allclose(result.weights[key], value, rtol=1e-4, atol=1e-6, err_msg=f"{name}: {key}")
