"""Commands under torchrun, as real processes: which rank prints an error, how fast all ranks end, and signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.data.dataset import open_dataset

SETTINGS = "backbone=squeezenet1_1 weights=none image_size=24 batch_size=8 lr=0.01 checkpoint_minutes=0.01"
SMALL = [word for setting in SETTINGS.split() for word in ("--set", setting)]
SMALL += ["--preset", "paper"]
SECONDS = 120.0


class Ranks:
    """A `prodrec` command on two ranks, with its output in a file."""

    def __init__(self, folder: Path, *words: object) -> None:
        folder.mkdir(exist_ok=True)
        self.log = folder / "log.txt"
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "prodrec"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *map(str, words)], stdout=log, stderr=subprocess.STDOUT, env=environment
            )

    def pid(self, rank: int) -> int:
        """Return the process id of a rank."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
        raise AssertionError(f"no rank {rank}")

    def wait_for(self, file: Path, *, newer_than: int = 0) -> None:
        """Wait until `file` exists and was written after `newer_than`, a time in nanoseconds."""
        deadline = time.monotonic() + SECONDS
        while not file.exists() or file.stat().st_mtime_ns <= newer_than:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def errors(self, *, within: float = SECONDS) -> list[str]:
        """Wait until all processes have ended, and return the errors that prodrec printed."""
        code = self.process.wait(timeout=within)
        text = self.log.read_text()
        assert code == 1, text  # torchrun's own
        assert "prodrec/" not in text, "no traceback of ours"
        return [line for line in text.splitlines() if line.startswith("error: ")]


@pytest.fixture
def damaged(drawn_dataset: Path, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A dataset in which one training photo is no photo, and its row."""
    copy = shutil.copytree(drawn_dataset, tmp_path / "damaged")
    row = int(open_dataset(copy).rows("train")[20])
    shard, start, size = np.load(copy / "photos" / "index.npy")[row]
    with (copy / "photos" / f"{shard:05d}.bin").open("r+b") as file:
        file.seek(start)
        file.write(bytes(int(size)))
    return copy, row


@pytest.mark.exhaustive
def test_an_error_of_all_ranks_is_printed_once(tmp_path: Path) -> None:
    """This includes errors in the command line itself, and that of a command that runs in one process only."""
    wrong_option, missing, *single_process = (
        Ranks(tmp_path / str(number), *words.split())
        for number, words in enumerate(
            ("train visual --nonsense", "train visual nowhere", "report", "add-classes words dataset")
        )
    )
    assert wrong_option.errors() == [] and wrong_option.log.read_text().count("No such option") == 1
    (error,) = missing.errors()
    assert error.startswith("error: nowhere does not exist")
    for name, command in zip(("report", "add-classes"), single_process, strict=True):
        (error,) = command.errors()
        assert error.startswith(f"error: prodrec {name} runs in one process: start it without torchrun")
        assert "prodrec train" in error


@pytest.mark.exhaustive
def test_an_error_of_one_rank_names_it(damaged: tuple[Path, int], tmp_path: Path) -> None:
    place, row = damaged
    (error,) = Ranks(tmp_path, "train", "visual", place, *SMALL, "--out", tmp_path / "run").errors()
    assert error.startswith("error: rank ") and f" of 2: {place}/photos, photo of row {row}: " in error


@pytest.mark.exhaustive
def test_a_killed_rank_ends_all_and_ctrl_c_stops_all_after_the_same_step(drawn_dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["train", "visual", drawn_dataset, *SMALL, "--set", "epochs=300", "--out", out]
    first = Ranks(tmp_path, *command)
    first.wait_for(out / "history.csv")
    os.kill(first.pid(1), signal.SIGKILL)
    (error,) = first.errors(within=20)
    assert error.startswith("error: lost contact with another rank") and "--resume`" in error
    before = (out / "history.csv").stat().st_mtime_ns

    second = Ranks(tmp_path, *command, "--resume")
    second.wait_for(out / "history.csv", newer_than=before)
    for pid in (second.pid(0), second.process.pid):  # as a terminal and torchrun do both
        os.kill(pid, signal.SIGINT)
    (error,) = second.errors(within=40)
    assert "everything up to there is saved" in error and "continuing after step" in second.log.read_text()
