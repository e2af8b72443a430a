"""`prodrec train` as a user meets it: settings, plan, resume, refusals."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prodrec.core.data import dataset as dataset_module
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.training.run import open_run
from prodrec.pipeline.prepare import prepare_dataset

from .conftest import prodrec

SMALL = ["--set", "backbone=squeezenet1_1", "--set", "weights=none", "--set", "image_size=24", "--set", "batch_size=16"]
SMALL += ["--preset", "paper"]
SHORT = [*SMALL, "--set", "epochs=1", "--set", "lr=0.01", "--workers", "0"]


@pytest.fixture(scope="module")
def dataset(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the drawn dataset, to which word vectors are added."""
    return Path(shutil.copytree(drawn_dataset, tmp_path_factory.mktemp("cli-train") / "dataset"))


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


def test_settings_lists_every_key_with_its_value_and_meaning():
    listing = json.loads(prodrec("train", "sicot", "--settings", "--set", "lr=0.25", "--json").stdout)
    assert listing["settings"]["lr"] == "0.25" and listing["settings"]["titles"] == "bilinear"
    text = prodrec("train", "visual", "--settings").stdout
    for key, value in {"backbone": "resnet50", "batch_size": "256", "decay_factor": "0.8", "image_size": "224"}.items():
        assert any(line.split()[:2] == [key, value] for line in text.splitlines()), key


def test_set_wins_over_a_file_of_settings(tmp_path):
    (tmp_path / "my.toml").write_text('lr = 0.3\n[network]\nbackbone = "resnet18"\n')
    listing = json.loads(
        prodrec("train", "visual", "--config", tmp_path / "my.toml", "--set", "lr=0.4", "--settings", "--json").stdout
    )
    assert listing["settings"]["lr"] == "0.4" and listing["settings"]["backbone"] == "resnet18"


def test_without_a_family_one_is_chosen_and_explained(dataset, tmp_path):
    assert prodrec("train", "--settings").stdout.startswith("settings of visual")
    result = prodrec("train", "auto", dataset, "--out", tmp_path / "run", "--plan", *SHORT)
    text = " ".join(result.output.split())
    family = text.split("words beyond the names of classes")[0].split(":")[0]
    assert family in ("visual", "words") and f"{family} on " in text and not (tmp_path / "run").exists()


def test_the_dataset_is_opened_once(dataset, tmp_path, monkeypatch):
    opened = []
    real = dataset_module.open_dataset
    monkeypatch.setattr(dataset_module, "open_dataset", lambda path: opened.append(path) or real(path))
    for family in ("auto", "visual"):
        opened.clear()
        assert prodrec("train", family, dataset, "--out", tmp_path / "run", "--plan", *SHORT).exit_code == 0
        assert opened == [dataset], family


def test_early_stopping_says_so_and_inspect_names_the_epoch(dataset, tmp_path):
    settings = [word for key in ("epochs=6", "stop_after=1", "lr=1e-9") for word in ("--set", key)]
    result = prodrec("train", "visual", dataset, "--out", tmp_path / "run", *SHORT, *settings)
    assert "stopped after epoch 2 of 6, because validation top-1 has not improved" in " ".join(result.stderr.split())
    header = json.loads((tmp_path / "run" / "run.json").read_text())
    assert header["result"]["kept_epoch"] == 1 and len(header["result"]["epochs"]) == 2
    assert "2 epochs, weights of epoch 1, validation top1" in " ".join(
        prodrec("inspect", tmp_path / "run").stdout.split()
    )


@pytest.mark.parametrize("setting", ["stop_after=2", "keep=best"])
def test_comparing_epochs_without_validation_photos_is_refused(drawn, tmp_path, setting):
    def train(split, *words, code=0):
        data = tmp_path / split.replace(":", "-")
        if not data.exists():
            prodrec("prepare", drawn.table, "--images", drawn.photos, "--out", data, "--split", split)
        return prodrec("train", "visual", data, "--out", tmp_path / "run", "--plan", *SHORT, *words, code=code)

    refused = " ".join(train("8:2:0", "--set", setting, code=2).stderr.split())
    assert f"{setting} compares epochs on validation photos, and " in refused and "has none; prepare it with" in refused
    train("8:1:1", "--set", setting)
    train("8:2:0")


def test_a_plan_is_printed_and_writes_nothing(dataset, tmp_path):
    out = tmp_path / "run"
    plan = json.loads(prodrec("train", "visual", dataset, "--out", out, "--plan", "--json", *SHORT).stdout)
    assert plan["parameters"]["backbone"] == 722_496 and plan["seconds"] > 0 and not out.exists()
    text = prodrec("train", "visual", dataset, "--out", out, "--plan", *SHORT).stdout
    assert "parameters" in text and "memory" in text and "time" in text


def test_sicot_makes_its_word_vectors_when_they_are_missing(dataset, tmp_path):
    result = prodrec("train", "sicot", dataset, "--out", tmp_path / "sicot", *SHORT)
    assert (dataset / "embeddings.h5").is_file() and "pretraining word vectors" in result.stderr
    run = json.loads((tmp_path / "sicot" / "run.json").read_text())
    assert run["status"] == "finished" and run["word_vectors"]["dimension"] > 0
    assert {"loss_visual", "loss_mixed"} <= run["result"]["epochs"][0].keys()


@pytest.mark.exhaustive
def test_kill_nine_in_the_middle_and_resume_gives_the_same_weights(dataset, tmp_path):
    """A real process and a real SIGKILL; the same command line with --resume continues."""
    command = ["train", "visual", dataset, *SHORT, "--set", "epochs=3", "--set", "checkpoint_minutes=0.0001"]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "prodrec", *map(str, command), "--out", str(killed)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list((killed / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (killed / "model.safetensors").exists()
    prodrec(*command, "--out", straight)
    assert "continuing after step" in prodrec(*command, "--out", killed, "--resume").stderr
    assert weights(killed) == weights(straight)


def test_a_finished_run_is_left_alone_by_resume(dataset, tmp_path):
    out = tmp_path / "run"
    prodrec("train", "visual", dataset, "--out", out, *SHORT)
    before = weights(out)
    assert "finished already" in prodrec("train", "visual", dataset, "--out", out, "--resume").stderr
    assert weights(out) == before
    refused = prodrec("train", "visual", dataset, "--out", out, *SHORT, code=2)
    assert "add --force to train anew" in refused.stderr and weights(out) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["visul"], "did you mean visual"),
        (["visual", "--set", "learning_rate=1"], "unknown key 'learning_rate'"),
        (["visual", "--set", "optimiser=sgd"], "did you mean optimizer?"),
        (["visual", "--set", "lr=fast"], "lr=fast"),
        (["visual", "--set", "lr=-1"], "lr=-1.0 must be greater than 0"),
        (["visual", "--set", "lr"], "not of the form key=value"),
        (["visual", "--set", "title_loss_weight=2"], "does nothing without titles"),
        (["visual", "--config", "nowhere.toml"], "nowhere.toml does not exist"),
        (["visual", "--device", "tpu"], "--device tpu"),
        (["visual", "--set", "backbone=resnet19"], "did you mean"),
        (["visual", "--embeddings", "e.h5"], "does nothing here"),
        (["sicot", "--embeddings", "nowhere.h5"], "nowhere.h5 does not exist"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_two(dataset, tmp_path, arguments, message):
    out = tmp_path / "run"
    settings = [] if "--settings" in arguments else SMALL
    result = prodrec("train", arguments[0], dataset, "--out", out, *settings, *arguments[1:], code=2)
    assert message in result.stderr and result.stderr.count("error:") == 1 and "Traceback" not in result.output
    assert not out.exists()


def test_resume_refuses_other_settings_and_another_dataset(dataset, drawn, tmp_path):
    out = tmp_path / "run"
    prodrec("train", "visual", dataset, "--out", out, *SHORT)
    other = prodrec("train", "visual", dataset, "--out", out, "--resume", *SHORT, "--set", "lr=0.5", code=2)
    assert "started with lr=0.01, not 0.5; a resumed run keeps its settings: omit --set." in other.stderr
    further = shlex.split(other.stderr.split("`")[1])[1:]
    prodrec(*further, "--set", "image_size=24", "--set", "epochs=1", "--workers", "0")
    assert open_run(tmp_path / "run-further").recipe["training"]["lr"] == 0.5
    typo = prodrec("train", "visual", dataset, "--out", tmp_path / "rum", "--resume", *SHORT, code=2)
    assert "rum is no run (did you mean run?), so nothing can be resumed; omit --resume," in typo.stderr
    prodrec("train", "visual", dataset, "--out", tmp_path / "rum", "--auto-resume", *SHORT)
    again = prodrec("train", "visual", dataset, "--out", tmp_path / "rum", "--auto-resume", *SHORT)
    assert "rum is finished already." in again.stderr
    resplit = tmp_path / "resplit"
    prepare_dataset([drawn.table], images=drawn.photos, out=resplit, options=PrepareOptions(seed=5))
    assert "another dataset" in prodrec("train", "visual", resplit, "--out", out, "--resume", code=2).stderr
    assert "is a visual run" in prodrec("train", "sicot", dataset, "--out", out, "--resume", code=2).stderr


def test_the_help_names_every_family():
    from prodrec.cli.train import FAMILIES as families_help
    from prodrec.models.families import FAMILIES

    assert [name for name in FAMILIES if name not in families_help.replace(",", " ").replace(";", " ").split()] == []
