"""Settings chosen for a real dataset on this machine, from the command line to run.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.base import memory
from prodrec.core.base.errors import BadOption
from prodrec.core.data.dataset import open_dataset
from prodrec.core.training.run import open_run
from prodrec.demo.catalogue import DrawnCatalogue
from prodrec.models import presets
from prodrec.models.families import make_recipe
from prodrec.models.memory_advice import USABLE_SHARE
from prodrec.models.presets import MINUTES
from prodrec.models.situation import Budget, PhotoCost
from prodrec.pipeline.choose_settings import choose_for, choose_recipe, read_budget
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.this_machine import ThisMachine


@pytest.fixture(scope="module")
def dataset(drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("choose") / "dataset"
    prepare_dataset([drawn_dozen.table], images=drawn_dozen.photos, out=out)
    return out


def call(*words: object) -> Result:
    torch.set_num_threads(1)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("time", "preset", "minutes"),
    [
        (None, "auto", MINUTES["auto"]),
        (None, "paper", None),
        ("90s", "auto", 1.5),
        ("20m", "fast", 20.0),
        ("1.5h", "best", 90.0),
        ("7", "auto", 7.0),
        (" 2 m ", "auto", 2.0),
    ],
)
def test_times(time: str | None, preset: str, minutes: float | None) -> None:
    budget = read_budget(time, preset)
    assert budget == (None if minutes is None else Budget(minutes, is_limit=time is not None))


@pytest.mark.parametrize(
    ("time", "preset", "message"),
    [
        ("soon", "auto", "--time soon: expected a time such as 90s, 20m or 1.5h"),
        ("0m", "auto", "--time 0m: expected"),
        ("-3m", "auto", "expected a time"),
        ("20m", "paper", "omit --time, or --preset"),
        (None, "quick", "--preset quick: expected auto, fast, best or paper"),
    ],
)
def test_times_and_presets_that_are_refused(time: str | None, preset: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        read_budget(time, preset)


def test_photos_of_the_dataset_are_measured(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawn photos have 32 pixels on each side."""
    monkeypatch.setattr(ThisMachine, "photo_cost", lambda *_: PhotoCost(0.001))
    data = open_dataset(dataset)
    chosen = choose_for(make_recipe("visual"), (), data, device="cpu", budget=Budget(20))
    assert chosen.recipe.photos.image_size == "64" and chosen.recipe.training.batch_size == 8
    assert {choice.key for choice in chosen.choices} >= {"backbone", "image_size", "epochs", "lr"}


def test_weights_name_their_backbone(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    monkeypatch.setattr(ThisMachine, "photo_cost", lambda *_: PhotoCost(0.001))
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "some.pth")
    recipe = make_recipe("visual", {"weights": str(tmp_path / "some.pth")})
    chosen = choose_for(recipe, ("weights",), open_dataset(dataset), device="cpu", budget=Budget(20))
    assert chosen.recipe.network.backbone == "resnet18"


@pytest.fixture
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three epochs at most: two seconds are enough for sixty of a dozen photos, whose checkpoints take longer."""
    monkeypatch.setattr(presets, "MAX_EPOCHS_OF_FEW_PHOTOS", 3)


def test_a_command_without_settings_trains_and_says_why(dataset: Path, tmp_path: Path, few_epochs: None) -> None:
    """What was chosen is in run.json as plain settings."""
    out = tmp_path / "run"
    small = ["--set", "weights=none", "--set", "backbone=squeezenet1_1", "--set", "image_size=32"]
    result = call("train", "visual", dataset, "--out", out, *small, "--time", "2s", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "settings for" in result.stderr and "optimizer=adamw" in result.stderr and "image_size=" not in result.stderr
    recipe: dict[str, Any] = open_run(out).recipe
    assert recipe["training"]["optimizer"] == "adamw" and 1 <= recipe["training"]["epochs"] <= 3
    assert recipe["network"]["backbone"] == "squeezenet1_1" and recipe["photos"]["image_size"] == "32"
    again = call("train", "visual", dataset, "--out", out, "--resume", *small)
    assert again.exit_code == 0 and "finished already" in again.stderr, again.output
    other = call("train", "visual", dataset, "--out", out, "--resume", "--set", "lr=0.5")
    assert other.exit_code == 2 and "was started with lr=" in other.stderr


def test_a_time_that_is_too_short_and_the_remedy(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThisMachine, "photo_cost", lambda *_: PhotoCost(20.0))
    command = ["train", "visual", dataset, "--out", tmp_path / "run", "--set", "weights=none", "--plan"]
    refused = call(*command, "--time", "1m")
    assert refused.exit_code == 2 and "--time: an epoch of" in refused.stderr
    time = refused.stderr.split("give at least --time ")[1].split(",")[0]
    helped = call(*command, "--time", time, "--set", "backbone=squeezenet1_1", "--json")
    assert helped.exit_code == 0, helped.output
    assert json.loads(helped.stdout)["steps"] >= 1


def test_feature_vectors(drawn_dozen: DrawnCatalogue, tmp_path: Path, few_epochs: None) -> None:
    import csv

    import numpy as np

    with drawn_dozen.table.open(encoding="utf-8", newline="") as stream:
        rows = len(list(csv.DictReader(stream)))
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(rows, 16)).astype(np.float32))
    made = call("prepare", drawn_dozen.table, "--features", tmp_path / "vectors.npy", "--out", tmp_path / "dataset")
    assert made.exit_code == 0, made.output
    result = call("train", "visual", tmp_path / "dataset", "--out", tmp_path / "run", "--time", "2s")
    assert result.exit_code == 0, result.output
    assert open_run(tmp_path / "run").recipe["network"]["embed"] == 768


def test_memory_that_is_not_enough_and_the_remedies(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that is too large is planned with a warning, and one whose weights do not fit is refused at once."""
    command = ["train", "visual", dataset, "--out", tmp_path / "run", "--set", "weights=none", "--preset", "paper"]
    command += ["--set", "backbone=squeezenet1_1", "--set", "image_size=64", "--set", "batch_size=12", "--workers", 0]
    cost = json.loads(call(*command, "--plan", "--json").stdout)
    assert cost["memory_advice"] is None and cost["available_bytes"] > cost["bytes_in_all"]

    small = round((cost["state"]["weights"] * 3 + cost["activations_bytes"] / 12 * 5) / USABLE_SHARE)
    monkeypatch.setattr(memory, "available", lambda: small)
    planned = call(*command, "--plan", "--json")
    advice = json.loads(planned.stdout)["memory_advice"]
    assert planned.exit_code == 0 and advice in " ".join(planned.stderr.split())
    assert (
        json.loads(call(*command, "--plan", "--json", "--set", advice.split("set ")[1][:-1]).stdout)["memory_advice"]
        is None
    )
    printed = call(*command, "--plan")
    assert f" of {small / 2**20:.1f} MiB free: weights" in " ".join(printed.stdout.split())

    monkeypatch.setattr(memory, "available", lambda: small // 8)
    refused = call(*command, "--plan")
    assert refused.exit_code == 2 and "set backbone=mobilenet_v2 and optimizer=sgd, or take" in refused.stderr


def test_training_warns_if_memory_is_not_enough(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ThisMachine, "photo_cost", lambda *_: PhotoCost(0.001, 1e15))
    settings = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32"}
    recipe, data = make_recipe("visual", settings), open_dataset(dataset)
    choose_recipe(data, recipe, tuple(settings), device="cpu", budget=Budget(20))
    assert "warning: the training needs about" in " ".join(capsys.readouterr().err.split())
    choose_recipe(data, recipe, tuple(settings), device="cpu", budget=Budget(20), warns=False)
    assert "warning" not in capsys.readouterr().err
