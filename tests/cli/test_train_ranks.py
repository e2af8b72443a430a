"""The same command on several ranks computes what one process computes: losses of every step, weights, accuracies.

In float64, where nothing but a mistake makes a difference: batch norm over a few rows makes chaos of rounding errors.
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
    "average, best": {"ema": "0.5", "keep": "best", "optimizer": "adamw", "lr": "0.001"},
    "sharded": {"classifier": "sharded", "logit_adjustment": "1"},
    "sharded, not fused": {"classifier": "sharded", "clip_norm": "0.3"},
    "two heads, one attribute": {"heads": "root,leaf,attributes", "attributes": "colour", "classifier": "sharded"},
}
ON_THREE = ("synchronised batch norm", "two heads, one attribute")


@dataclasses.dataclass
class Told:
    losses: list[list[float]]
    weights: dict[str, NDArray[Any]]
    epochs: list[dict[str, Any]]


def run_cases(names: tuple[str, ...], dataset: Path, folder: Path) -> dict[str, Told]:
    """Train every case, in float64, and keep what it tells."""
    to_device, steps_of = Batch.to_device, training.train_steps
    found = {}
    torch.set_default_dtype(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "to_device", lambda *args, **kwargs: _doubled(to_device(*args, **kwargs)))
        for name in names:
            losses: list[list[float]] = []

            def told(*args: Any, losses: list[list[float]] = losses, **kwargs: Any) -> Any:
                for step in steps_of(*args, **kwargs):
                    losses.append([*step.losses.values(), step.photos])
                    yield step

            patch.setattr(training, "train_steps", told)
            run = train_recipe(
                make_recipe("sicot", {**USUAL, **CASES[name]}), dataset=dataset, out=folder / name, workers=0
            )
            weights = {key: tensor.numpy() for key, tensor in run.weights().items()}
            found[name] = Told(losses, weights, run.header["result"]["epochs"])
    torch.set_default_dtype(torch.float32)
    return found


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
def alone(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return run_cases(tuple(CASES), dataset, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize(("ranks", "names"), [(2, tuple(CASES)), (3, ON_THREE)])
def test_ranks_equal_one_process(
    ranks: int,
    names: tuple[str, ...],
    on_ranks: Callable[..., list[Any]],
    dataset: Path,
    alone: dict[str, Told],
    tmp_path: Path,
) -> None:
    answers = on_ranks(ranks, run_cases, names, dataset, tmp_path)
    for name in names:
        expected = alone[name]
        for answer in answers:
            found = answer[name]
            np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-6, err_msg=name)
            for epoch, same in zip(found.epochs, expected.epochs, strict=True):
                assert epoch == pytest.approx(same, rel=1e-6), name
            assert found.weights.keys() == expected.weights.keys()
            for key, value in expected.weights.items():
                np.testing.assert_allclose(found.weights[key], value, rtol=1e-4, atol=1e-6, err_msg=f"{name}: {key}")
