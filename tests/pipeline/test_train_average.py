"""A training with a moving average (`ema`) that is cut and resumed has the weights of one that was not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.training import train as train_module
from prodrec.core.training.run import open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models.families import FAMILIES, make_recipe
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.train import train_recipe

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "lr": "0.001", "epochs": "0.7"}
SETTINGS |= {"batch_size": "16", "precision": "fp32", "ema": "0.6", "checkpoint_minutes": "1e-9"}

ALWAYS = ("sicot", "ssmtl-ca")
"""The families with the most parts."""


@pytest.fixture(scope="module")
def dataset(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("average") / "dataset"
    options = PrepareOptions(columns=ColumnNames(attributes=("colour",)))
    prepare_dataset([drawn.table], images=drawn.photos, out=out, options=options)
    return out


class PowerCut(BaseException):
    """Ends training as kill -9 does: no code catches it or saves anything."""


@pytest.mark.parametrize(
    "family",
    [pytest.param(family, marks=[] if family in ALWAYS else pytest.mark.exhaustive) for family in FAMILIES],
)
def test_every_family_resumes_its_average(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    start = {"word_vectors": "random"} if family in ("sicot", "titled") else {}
    recipe = make_recipe(family, {**SETTINGS, **start, "operating_points": "none"})
    straight = train_recipe(recipe, dataset=dataset, out=tmp_path / "straight", workers=0)
    real = train_module.train_steps

    def with_power_cut(*arguments: Any, **options: Any) -> Iterator[Any]:
        for step in real(*arguments, **options):
            if step.step == 3:
                raise PowerCut
            yield step

    monkeypatch.setattr(train_module, "train_steps", with_power_cut)
    with pytest.raises(PowerCut):
        train_recipe(recipe, dataset=dataset, out=tmp_path / "cut", workers=0)
    monkeypatch.setattr(train_module, "train_steps", real)
    assert not open_run(tmp_path / "cut").finished
    resumed = train_recipe(recipe, explicit=(), dataset=dataset, out=tmp_path / "cut", workers=0, resume=True)
    assert straight.weights().keys() == resumed.weights().keys()
    for name, weight in straight.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name
