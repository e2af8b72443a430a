"""A campaign of kills: a command that is killed at any moment leaves nothing half-made. Run again, it makes the same.

`make kill TRIALS=300 SEED=1` runs more trials with other random numbers than the default tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.campaigns.serve_victim import Victim, problem
from tests.conftest import Journey

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs fork and /proc")

TRIALS = int(os.environ.get("PRODREC_TRIALS", "0"))
"""Trials of each command; 0 is 1 in the default tests, and MORE_TRIALS in the exhaustive ones."""
MORE_TRIALS = 6
SEED = int(os.environ.get("PRODREC_SEED", "0"))
SETTINGS = "backbone=squeezenet1_1 weights=none image_size=32 batch_size=8 lr=0.02 epochs=3"
TRAIN = "train sicot --preset paper --workers 0 --out runs/k " + " ".join(f"--set {one}" for one in SETTINGS.split())
COMMANDS = {
    "prepare products.csv --images photos --out k --workers 1": "k/dataset.json",
    TRAIN: "runs/k/run.json",
    "score runs/sicot dataset --out k.h5 --workers 0": "k.h5",
    "refine-mcr scores/sicot.h5 --levels leaf --lambda 10 --out k.h5": "k.h5",
    "neighbours runs/sicot --workers 0": "runs/sicot/operating_points.json",
}
"""Commands, and the file whose fingerprint is that of all that they make."""
ENDS = (0, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
"""Exit codes of a command that a signal may have ended."""


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    victim = Victim(tmp_path_factory.mktemp("victim"))
    yield victim
    victim.close()


def fingerprint(file: Path) -> str:
    if file.suffix == ".json":
        return str(json.loads(file.read_text("utf-8"))["fingerprint"])
    with h5py.File(file, locking=False) as opened:
        return str(opened.attrs["fingerprint"])


@pytest.mark.parametrize("trials", [TRIALS or 1, pytest.param(MORE_TRIALS, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("line", COMMANDS, ids=[line.split()[0] for line in COMMANDS])
def test_a_killed_command_runs_again_and_makes_the_same(
    journey: Journey, victim: Victim, tmp_path: Path, line: str, trials: int
) -> None:
    random, made = np.random.default_rng([SEED, trials, list(COMMANDS).index(line)]), COMMANDS[line]
    folder = Path(shutil.copytree(journey.folder, tmp_path / "whole"))
    start = time.monotonic()
    code, messages = victim.run(line, folder)
    assert problem(code, messages) is None and code == 0, messages
    seconds, expected = time.monotonic() - start, fingerprint(folder / made)
    for trial in range(trials):
        folder = Path(shutil.copytree(journey.folder, tmp_path / str(trial)))
        number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[random.integers(3)]
        code, messages = victim.run(line, folder, kill_after=float(random.uniform(0, seconds)), signal=int(number))
        where = f"seed {SEED}, trial {trial}, {number.name}: {messages[-500:]}"
        assert code in ENDS and "Traceback" not in messages, f"{code}, {where}"
        again = line
        if line == TRAIN and (folder / "runs/k/run.json").is_file():
            again = "train sicot dataset --out runs/k --resume --workers 0"
        elif (folder / made).exists() and not line.startswith("neighbours"):  # the signal came too late
            assert fingerprint(folder / made) == expected, f"{where}: half-made"
            again += " --force"
        code, messages = victim.run(again, folder)
        assert code == 0 and problem(code, messages) is None, f"{where}; then `{again}`: {messages[-500:]}"
        assert fingerprint(folder / made) == expected, where
        leftovers = [path for path in folder.rglob(".*") if ".partial-" in path.name or ".replaced-" in path.name]
        assert not leftovers, f"{where}: {leftovers}"
        shutil.rmtree(folder)
