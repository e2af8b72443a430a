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

from prodrec.index.product_index import ProductIndex
from prodrec.pipeline.index_info import check_index
from tests.campaigns.conftest import IndexedJourney
from tests.campaigns.serve_victim import BUILD, COMMANDS, UPDATE, Victim, content_of, leftovers, made_at, problem
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


EACH_TRIALS = pytest.mark.parametrize("trials", [TRIALS or 1, pytest.param(MORE_TRIALS, marks=pytest.mark.exhaustive)])

FEW = "only {} of {} commands were still running when the signal came"


def kill(victim: Victim, line: str, folder: Path, *, within: float, random: np.random.Generator) -> tuple[int, str]:
    """Run a command, kill it at a moment `within` so many seconds, and return its exit code and its messages."""
    number = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[random.integers(3)]
    code, messages = victim.run(line, folder, kill_after=float(random.uniform(0, within)), signal=int(number))
    where = f"seed {SEED}, {folder.name}, {number.name}: {messages[-500:]}"
    assert code in ENDS and "Traceback" not in messages, f"{code}, {where}"
    return code, where


def run(victim: Victim, line: str, folder: Path, where: str = "") -> None:
    """Run a command, which must succeed."""
    code, messages = victim.run(line, folder)
    assert code == 0 and problem(code, messages) is None, f"{where}; then `{line}`: {messages[-500:]}"


@EACH_TRIALS
@pytest.mark.parametrize("line", ALL, ids=[line.split()[0] for line in ALL])
def test_a_killed_command_runs_again_and_makes_the_same(
    journey: Journey, victim: Victim, tmp_path: Path, line: str, trials: int
) -> None:
    random = np.random.default_rng([SEED, trials, list(ALL).index(line)])
    made, line = f"{'runs/sicot' if line in IN_PLACE else 'k'}/{ALL[line]}", line.format(out="k")
    folder = Path(shutil.copytree(journey.folder, tmp_path / "whole"))
    start = time.monotonic()
    run(victim, line, folder)
    seconds, expected, stopped = time.monotonic() - start, made_at(folder / made), 0
    for trial in range(trials):
        folder = Path(shutil.copytree(journey.folder, tmp_path / str(trial)))
        code, where = kill(victim, line, folder, within=seconds, random=random)
        stopped += code != 0
        again = line
        if line.startswith("train") and (folder / made).is_file():
            again = "train sicot dataset --out k/run --resume --workers 0"
        elif (folder / made).exists() and not line.startswith("neighbours"):  # the signal came too late
            assert made_at(folder / made) == expected, f"{where}: half-made"
            again += " --force"
        run(victim, again, folder, where)
        assert made_at(folder / made) == expected, where
        assert not leftovers(folder), f"{where}: {leftovers(folder)}"
        shutil.rmtree(folder)
    assert stopped >= trials // 4, FEW.format(stopped, trials)


@EACH_TRIALS
def test_a_killed_build_of_an_index_leaves_nothing_or_all(
    journey: Journey, indexed: IndexedJourney, victim: Victim, tmp_path: Path, trials: int
) -> None:
    random = np.random.default_rng([SEED, trials, len(ALL)])
    expected, stopped = content_of(ProductIndex.open(indexed.folder / "index")), 0
    for trial in range(trials):
        folder = Path(shutil.copytree(journey.folder, tmp_path / str(trial), copy_function=os.link))
        code, where = kill(victim, BUILD, folder, within=indexed.seconds, random=random)
        stopped += code != 0
        again = BUILD
        if (folder / "index").exists():
            assert content_of(ProductIndex.open(folder / "index")) == expected, f"{where}: half-made"
            again += " --force"
        run(victim, again, folder, where)
        assert content_of(ProductIndex.open(folder / "index")) == expected, where
        assert not leftovers(folder), f"{where}: {leftovers(folder)}"
        shutil.rmtree(folder)
    assert stopped >= trials // 4, FEW.format(stopped, trials)


@EACH_TRIALS
def test_a_killed_update_of_an_index_leaves_a_whole_version(
    indexed: IndexedJourney, victim: Victim, tmp_path: Path, trials: int
) -> None:
    """A reader that had opened the index before goes on with what it had."""
    random = np.random.default_rng([SEED, trials, len(ALL) + 1])
    folder = Path(shutil.copytree(indexed.folder, tmp_path / "whole"))
    before, start = content_of(ProductIndex.open(folder / "index")), time.monotonic()
    run(victim, UPDATE, folder)
    seconds, after = time.monotonic() - start, content_of(ProductIndex.open(folder / "index"))
    rejected = (folder / "index/rejected.csv").read_text("utf-8")
    stopped = 0
    assert before != after and "gone.jpg" in rejected
    for trial in range(trials):
        folder = Path(shutil.copytree(indexed.folder, tmp_path / str(trial)))
        reader = ProductIndex.open(folder / "index")
        code, where = kill(victim, UPDATE, folder, within=seconds, random=random)
        stopped += code != 0
        assert check_index(folder / "index") == len(ProductIndex.open(folder / "index")), where
        assert content_of(ProductIndex.open(folder / "index")) in (before, after), f"{where}: half of an update"
        run(victim, UPDATE, folder, where)
        assert content_of(ProductIndex.open(folder / "index")) == after and content_of(reader) == before, where
        assert (folder / "index/rejected.csv").read_text("utf-8") == rejected, where
        assert not leftovers(folder), f"{where}: {leftovers(folder)}"
        shutil.rmtree(folder)
    assert stopped >= trials // 4, FEW.format(stopped, trials)
