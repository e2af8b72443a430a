"""A campaign of kills: a command that is killed at any moment leaves nothing half-made. Run again, it makes the same.

`make kill TRIALS=60 SEED=1` runs more trials of each command, with other random numbers than the default tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.campaigns.serve_victim import COMMANDS, Victim, leftovers, made_at, problem
from tests.conftest import Journey

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs fork and /proc")

TRIALS = int(os.environ.get("PRODREC_TRIALS", "0"))
"""Trials of each command; 0 is 1 in the default tests, and MORE_TRIALS in the exhaustive ones."""
MORE_TRIALS = 6
SEED = int(os.environ.get("PRODREC_SEED", "0"))
IN_PLACE = {"neighbours runs/sicot --workers 0": "operating_points.json"}
"""Commands that write into runs/sicot."""
ALL = {**COMMANDS, **IN_PLACE}
ENDS = (0, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
"""Exit codes of a command that a signal may have ended."""


@pytest.mark.parametrize("trials", [TRIALS or 1, pytest.param(MORE_TRIALS, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("line", ALL, ids=[line.split()[0] for line in ALL])
def test_a_killed_command_runs_again_and_makes_the_same(
    journey: Journey, victim: Victim, tmp_path: Path, line: str, trials: int
) -> None:
    random = np.random.default_rng([SEED, trials, list(ALL).index(line)])
    made, line = f"{'runs/sicot' if line in IN_PLACE else 'k'}/{ALL[line]}", line.format(out="k")
    folder = Path(shutil.copytree(journey.folder, tmp_path / "whole"))
    start = time.monotonic()
    code, messages = victim.run(line, folder)
    assert problem(code, messages) is None and code == 0, messages
    seconds, expected, stopped = time.monotonic() - start, made_at(folder / made), 0
    for trial in range(trials):
        folder = Path(shutil.copytree(journey.folder, tmp_path / str(trial)))
        number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[random.integers(3)]
        code, messages = victim.run(line, folder, kill_after=float(random.uniform(0, seconds)), signal=int(number))
        where = f"seed {SEED}, trial {trial}, {number.name}: {messages[-500:]}"
        assert code in ENDS and "Traceback" not in messages, f"{code}, {where}"
        stopped += code != 0
        again = line
        if line.startswith("train") and (folder / made).is_file():
            again = "train sicot dataset --out k/run --resume --workers 0"
        elif (folder / made).exists() and not line.startswith("neighbours"):  # the signal came too late
            assert made_at(folder / made) == expected, f"{where}: half-made"
            again += " --force"
        code, messages = victim.run(again, folder)
        assert code == 0 and problem(code, messages) is None, f"{where}; then `{again}`: {messages[-500:]}"
        assert made_at(folder / made) == expected, where
        assert not leftovers(folder), f"{where}: {leftovers(folder)}"
        shutil.rmtree(folder)
    assert stopped >= trials // 4, f"only {stopped} of {trials} commands were still running when the signal came"
