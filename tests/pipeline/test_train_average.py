"""A training with a moving average (`ema`) that is cut and resumed has the weights of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prodrec.core.training.run import open_run
from prodrec.models.families import FAMILIES, make_recipe
from prodrec.pipeline.train import train_recipe

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "lr": "0.001", "epochs": "0.7"}
SETTINGS |= {"batch_size": "16", "precision": "fp32", "ema": "0.6", "checkpoint_minutes": "1e-9"}

ALWAYS = ("sicot", "ssmtl-ca")
"""The families with the most parts."""


@pytest.mark.parametrize(
    "family",
    [pytest.param(family, marks=[] if family in ALWAYS else pytest.mark.exhaustive) for family in FAMILIES],
)
def test_every_family_resumes_its_average(drawn_dataset: Path, tmp_path: Path, power_cut: Any, family: str) -> None:
    torch.set_num_threads(1)
    start = {"word_vectors": "random"} if family == "sicot" else {}
    recipe = make_recipe(family, {**SETTINGS, **start, "operating_points": "none"})
    straight = train_recipe(recipe, dataset=drawn_dataset, out=tmp_path / "straight", workers=0)
    with power_cut(lambda step: step.step == 3):
        train_recipe(recipe, dataset=drawn_dataset, out=tmp_path / "cut", workers=0)
    assert not open_run(tmp_path / "cut").finished
    resumed = train_recipe(recipe, explicit=(), dataset=drawn_dataset, out=tmp_path / "cut", workers=0, resume=True)
    assert straight.weights().keys() == resumed.weights().keys()
    for name, weight in straight.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name
