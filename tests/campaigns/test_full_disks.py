"""A campaign of full disks and few file handles: a command ends with one sentence, and run again it makes the same.

`make fill TRIALS=60 SEED=1` runs more trials of each command, with other random numbers than the default tests.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.campaigns.serve_victim import COMMANDS, Victim, leftovers, made_at, problem
from tests.conftest import Journey

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs fork and /proc")

TRIALS = int(os.environ.get("PRODREC_TRIALS", "0"))
"""Trials of each command; 0 is 1 in the default tests, and MORE_TRIALS in the exhaustive ones."""
MORE_TRIALS = 6
SEED = int(os.environ.get("PRODREC_SEED", "0"))
PAGE = 4096
FEWEST_HANDLES = 12
"""Open files with which a command begins: with fewer, Python does not start."""
EACH_TRIALS = pytest.mark.parametrize("trials", [TRIALS or 1, pytest.param(MORE_TRIALS, marks=pytest.mark.exhaustive)])
NAMES = [line.split()[0] for line in COMMANDS]


@pytest.fixture(scope="module")
def wholes(
    journey: Journey, victim: Victim, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, int, int]]:
    """For every command, the fingerprint of what it makes, and the bytes of all its files and of the largest one."""
    made = {}
    for number, (line, file) in enumerate(COMMANDS.items()):
        out = tmp_path_factory.mktemp(f"whole-{number}")
        code, messages = victim.run(line.format(out=out), journey.folder)
        assert code == 0 and problem(code, messages) is None, messages
        sizes = [path.stat().st_size for path in out.rglob("*") if path.is_file()]
        made[line] = made_at(out / file), sum(sizes), max(sizes)
    return made


@EACH_TRIALS
@pytest.mark.parametrize("line", COMMANDS, ids=NAMES)
@pytest.mark.parametrize("limit", ["file_bytes", "handles"])
def test_a_file_that_cannot_be_written(
    journey: Journey, victim: Victim, wholes: Any, tmp_path: Path, line: str, limit: str, trials: int
) -> None:
    random = np.random.default_rng([SEED, trials, list(COMMANDS).index(line), limit == "handles"])
    (whole, _, largest), made = wholes[line], COMMANDS[line]
    for trial in range(trials):
        out = tmp_path / str(trial)
        value = int(
            random.integers(2 * PAGE, largest) if limit == "file_bytes" else random.integers(FEWEST_HANDLES, 40)
        )
        code, messages = victim.run(line.format(out=out), journey.folder, **{limit: value})
        where = f"seed {SEED}, trial {trial}, {limit} {value}: {messages[-500:]}"
        assert problem(code, messages) is None, f"{problem(code, messages)}, {where}"
        again = line.format(out=out)
        if (out / made).is_file() and made_at(out / made) != whole:
            assert line.startswith("train"), f"{where}: half-made"
            again = f"train sicot dataset --out {out}/run --resume --workers 0"
        elif (out / made).is_file():
            continue
        code, messages = victim.run(again, journey.folder)
        assert code == 0, f"{where}; then `{again}`: {messages[-500:]}"
        assert made_at(out / made) == whole and not leftovers(out), where


@EACH_TRIALS
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.parametrize("line", COMMANDS, ids=NAMES)
def test_a_full_disk(journey: Journey, victim: Victim, wholes: Any, tmp_path: Path, line: str, trials: int) -> None:
    random = np.random.default_rng([SEED, trials, list(COMMANDS).index(line)])
    _, bytes_of_all, _ = wholes[line]
    for trial in range(trials):
        disk, size = tmp_path / f"disk-{trial}", int(random.integers(1, 2 + bytes_of_all // PAGE)) * PAGE
        code, messages = victim.run(line.format(out=disk), journey.folder, disk=(str(disk), size))
        if code == 70 and "Operation not permitted" in messages:
            pytest.skip("this root may not mount")
        where = f"seed {SEED}, trial {trial}, {size} bytes: {messages[-500:]}"
        assert problem(code, messages) is None, f"{problem(code, messages)}, {where}"
        assert code != 2, f"a full disk is no mistake of the user, {where}"
        shutil.rmtree(disk)
