"""Two trainings never share a run directory; a killed one leaves it free."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base import dist
from prodrec.core.base.errors import RunLocked
from prodrec.core.training.lock import LOCK_NAME, lock_directory, lock_run

HOLD = """
import os, sys, time
from pathlib import Path
from prodrec.core.training.lock import lock_run
with lock_run(Path(sys.argv[1])):
    if not os.fork():  # as one that loads photos, which outlives a kill for a while
        time.sleep(60)
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_directory_is_held_until_its_process_ends_or_is_killed(tmp_path: Path) -> None:
    for end in ("leaves", "is killed"):
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        for hold in (lock_run, lock_directory):
            with (
                pytest.raises(RunLocked, match=rf"is being trained by process {process.pid} on \S+; wait"),
                hold(tmp_path),
            ):
                pass
        if end == "leaves":
            process.stdin.write(b"\n")
            process.stdin.flush()
        else:
            process.kill()
        process.wait()
        assert (tmp_path / LOCK_NAME).exists() == (end == "is killed")
        with lock_run(tmp_path):
            assert (tmp_path / LOCK_NAME).exists()
        assert not (tmp_path / LOCK_NAME).exists()
        os.killpg(process.pid, 9)


def wait_and_take(directory: Path) -> str:
    """Rank 0 alone asks, once another process holds the directory; all are told."""
    dist.barrier()
    try:
        with lock_run(directory):
            return "taken"
    except RunLocked as error:
        return str(error)


def test_all_ranks_are_told(tmp_path: Path, on_ranks: Any) -> None:
    with lock_directory(tmp_path):
        told = on_ranks(2, wait_and_take, tmp_path)
    assert told[0] == told[1] and f"is being trained by process {os.getpid()} on" in told[0]
    assert not (tmp_path / LOCK_NAME).exists()
