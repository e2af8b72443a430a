"""A training on ranks that is killed or interrupted at the worst moment continues as if nothing had happened.

Real processes, as `torchrun` starts them, are stopped while a checkpoint is half-written, and then killed.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.demo.catalogue import draw_catalogue
from prodrec.pipeline.prepare import prepare_dataset

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "batch_size": "16", "lr": "0.02"}
SETTINGS |= {"epochs": "2", "classifier": "sharded", "precision": "fp32", "checkpoint_minutes": "0.0001", "ema": "0.5"}


class Job:
    """`prodrec train` on two ranks."""

    def __init__(self, out: Path, dataset: Path, *more: str) -> None:
        self.out = out
        self.newest_before = max(steps(out), default=0)
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "prodrec", "train"]
        options = ["--out", str(out), "--workers", "0", "--preset", "paper"]
        words = [sys.executable, *command, "visual", str(dataset), *options, *more]
        self.process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE, text=True)

    def wait_for_messages(self) -> str:
        """Wait until the job has ended, and return what it printed on standard error."""
        assert self.process.stderr is not None
        try:
            return self.process.communicate(timeout=240)[1]
        finally:
            self.kill()

    def kill(self) -> None:
        for number in (self.process.pid, *self.ranks().values()):
            try:
                os.killpg(number, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def ranks(self) -> dict[str, int]:
        """Return the process id of every running rank, by rank."""
        process_ids = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid:
                    values = dict(part.split("=", 1) for part in (place / "environ").read_text().split("\0") if part)
                    process_ids[values["RANK"]] = int(place.name)
            except (OSError, KeyError):
                continue
        return process_ids

    def stop_in_checkpoint(self) -> dict[str, int]:
        """Suspend all ranks while they write a checkpoint after an earlier one. Return their process ids by rank."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            if max(steps(self.out), default=0) <= self.newest_before or not half_written(self.out):
                continue
            ranks = self.ranks()
            for number in ranks.values():
                os.kill(number, signal.SIGSTOP)
            time.sleep(0.02)
            if len(ranks) == 2 and half_written(self.out):
                return ranks
            for number in ranks.values():
                os.kill(number, signal.SIGCONT)
        self.kill()
        raise AssertionError(f"no checkpoint was half-written: {self.wait_for_messages()}")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash")
    drawn = draw_catalogue(folder, products=120, leaves=5, size=32, dirt=False)
    prepare_dataset([drawn.table], images=drawn.photos, out=folder / "dataset")
    return folder / "dataset"


def settings(**changes: str) -> list[str]:
    return [word for key, value in {**SETTINGS, **changes}.items() for word in ("--set", f"{key}={value}")]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def steps(run: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").glob("step-*"))


def half_written(run: Path) -> list[Path]:
    return list((run / "checkpoints").glob(".step-*.partial/*"))


def resume(run: Path, dataset: Path) -> Result:
    """Resume the run in this process, without other ranks."""
    words = ["train", "visual", dataset, "--out", run, "--workers", "0", "--resume"]
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.exhaustive
def test_kills_during_a_checkpoint_change_nothing(dataset: Path, tmp_path: Path) -> None:
    """Kill one rank, then all ranks, with SIGKILL. The resumed run equals the one that was never interrupted."""
    straight, run, copy = tmp_path / "straight", tmp_path / "run", tmp_path / "copy"
    untouched = Job(straight, dataset, *settings())
    first = Job(run, dataset, *settings())
    stopped = first.stop_in_checkpoint()

    refused = resume(run, dataset)
    assert refused.exit_code == 2 and f"is being trained by process {stopped['0']} on" in refused.stderr
    again = CliRunner().invoke(
        app, ["train", "visual", str(dataset), "--out", str(run), "--force", "--preset", "paper", *settings()]
    )
    assert again.exit_code == 2 and "is being trained by" in again.stderr

    os.kill(stopped["1"], signal.SIGKILL)
    os.kill(stopped["0"], signal.SIGCONT)
    messages = first.wait_for_messages()
    assert first.process.returncode != 0
    assert messages.count("error: ") == 1, messages
    # torchrun's signal may come before the loss of contact.
    assert "error: lost contact with another rank" in messages or "interrupted" in messages
    saved = steps(run)
    assert len(saved) == 2 and not (run / "model.safetensors").exists()

    second = Job(run, dataset, "--resume")
    for number in (*second.stop_in_checkpoint().values(), second.process.pid):
        os.kill(number, signal.SIGKILL)
    assert f"continuing after step {saved[-1]} " in second.wait_for_messages()
    saved = steps(run)
    assert half_written(run) and (run / ".lock").exists()
    shutil.copytree(run, copy)

    messages = Job(run, dataset, "--resume").wait_for_messages()
    assert f"continuing after step {saved[-1]} " in messages
    assert untouched.wait_for_messages().count("error") == 0
    assert weights(run).keys() == weights(straight).keys()
    for name, tensor in weights(straight).items():
        assert torch.equal(tensor, weights(run)[name]), name
    assert (run / "history.csv").read_text() == (straight / "history.csv").read_text()
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in straight.iterdir())

    alone = resume(copy, dataset)  # another number of ranks
    assert alone.exit_code == 0 and f"continuing after step {saved[-1]} " in alone.stderr
    assert weights(copy).keys() == weights(straight).keys()
    assert not list(copy.glob(".*"))


def test_a_full_disk_during_a_checkpoint(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is one sentence, the checkpoint before remains, and with room again the run resumes from it."""
    from prodrec.core.training import train as training

    run, real, before = tmp_path / "run", training.train_steps, resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(*args: Any, **kwargs: Any) -> Any:
        for step in real(*args, **kwargs):
            if step.step == 3:  # no file may grow beyond a megabyte; a checkpoint has some
                resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_steps", fill_up)
        words = ["train", "visual", str(dataset), "--out", str(run), "--workers", "0", "--preset", "paper", *settings()]
        failed = CliRunner().invoke(app, words)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.exit_code == 1
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "could not be written (" in errors[0], "of step 2 or of step 3, whichever was under way"
    assert errors[0].endswith("the one before it is complete.")
    last = steps(run)[-1]
    assert f"step-{last + 1:08d} could" in errors[0] and not half_written(run)
    resumed = resume(run, dataset)
    assert resumed.exit_code == 0 and f"continuing after step {last} " in resumed.stderr
