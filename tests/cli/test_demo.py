"""`prodrec demo` runs all steps on the drawn catalogue, with commands that a user can type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from prodrec.cli.app import app
from prodrec.core.base.errors import Interrupted, OutputExists, ProdrecError
from prodrec.models.backbones import build_backbone
from prodrec.models.pretrained import read_weights
from prodrec.pipeline import demo as module


@pytest.mark.exhaustive
def test_quick_runs_all_steps(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prodrec", "demo", "--out", "here", "--quick", "--json"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # several threads are slow beside other tests
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=one_thread)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    result = json.loads(process.stdout)
    assert result["commands"] == [f"prodrec {step}" for step in module.STEPS]
    for line in result["commands"]:
        assert f"$ {line}\n" in process.stderr
    assert result["rejected"] == {"missing photo": 4, "undecodable": 3, "truncated": 3, "no category": 4}
    assert set(result["top_1"]) >= {"all ACC", "all MACC", "tail (< 100) ACC"}
    assert set(result["top_1"]["all ACC"]) == set(module.COLUMNS)
    assert result["top_1"]["all ACC"]["plain"]["images"] > 10
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    files = {path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("*")}
    assert files >= {"dataset/embeddings.h5", "runs/visual/run.json", "runs/sicot/run.json", "scores/sicot.h5"}
    assert "Next steps: cd here" in process.stderr


def test_a_place_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("also mine")
    for place, options in (("mine", []), ("mine", ["--force"]), ("file", ["--force"])):
        result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / place), *options])
        assert result.exit_code == 2
        assert "give another place with --out" in result.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "also mine"


def test_an_earlier_demo_is_replaced_with_force_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", ("--version",))
    monkeypatch.setattr(module, "_accuracies", lambda out: {})
    assert module.demo(tmp_path / "demo", quick=True)["rows"] == 144
    (tmp_path / "demo" / "left.txt").write_text("from before")
    with pytest.raises(OutputExists, match="has a demo already; add --force"):
        module.demo(tmp_path / "demo", quick=True)
    module.demo(tmp_path / "demo", quick=True, force=True)
    assert not (tmp_path / "demo" / "left.txt").exists()


def test_a_command_that_fails_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "STEPS", ("prepare absent.csv", "--version"))
    with pytest.raises(ProdrecError, match=r"`prodrec prepare absent.csv` in .*demo ended with exit code 2"):
        module.demo(tmp_path / "demo", quick=True)
    shown = capfd.readouterr()
    assert "absent.csv" in shown.err
    assert "$ prodrec --version" not in shown.out


class Stopped:
    """A process that ends with `code`. Its first wait raises KeyboardInterrupt, as Ctrl-C does."""

    code = 130

    def __init__(self, *_: object, **__: object) -> None:
        self.waited = 0

    def wait(self) -> int:
        self.waited += 1
        if self.waited == 1:
            raise KeyboardInterrupt
        return self.code


@pytest.mark.parametrize("code", [130, -signal.SIGINT, -signal.SIGTERM])
@pytest.mark.parametrize(
    ("step", "again"), [("prepare a.csv", "`prodrec prepare a.csv`"), ("train sicot", "`prodrec train sicot --resume`")]
)
def test_ctrl_c_names_the_command_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, again: str, code: int
) -> None:
    monkeypatch.setattr(module, "STEPS", (step, "--version"))
    monkeypatch.setattr(subprocess, "Popen", Stopped)
    monkeypatch.setattr(Stopped, "code", code)
    with pytest.raises(Interrupted, match=f"the demo was interrupted; continue in .*demo with {again}"):
        module.demo(tmp_path / "demo", quick=True)


def test_the_backbone_of_the_demo_is_small_and_loads() -> None:
    weights = read_weights(module.WEIGHTS)
    assert module.WEIGHTS.stat().st_size < 2_000_000 and {value.dtype for value in weights.values()} > {torch.float16}
    backbone = build_backbone(str(module.FULL.settings["backbone"]), weights=str(module.WEIGHTS))
    torch.testing.assert_close(backbone.trunk.state_dict()["conv1.0.weight"], weights["conv1.0.weight"].float())


@pytest.mark.parametrize("preset", [module.FULL, module.QUICK])
@pytest.mark.parametrize("family", ["visual", "sicot"])
def test_the_settings_file_is_read_by_train(tmp_path: Path, preset: module.DemoPreset, family: str) -> None:
    from prodrec.core.base.config import read_toml
    from prodrec.models.families import make_recipe

    (tmp_path / "demo.toml").write_text(module._settings_file(preset), "utf-8")
    recipe = make_recipe(family, read_toml(tmp_path / "demo.toml"))
    assert recipe.network.weights == str(module.WEIGHTS)
    assert recipe.network.backbone == preset.settings["backbone"]
    assert recipe.training.epochs == preset.settings["epochs"]
    assert recipe.photos.image_size == preset.settings["image_size"]
