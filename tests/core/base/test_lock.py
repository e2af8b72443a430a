"""Two trainings never share a run directory, and a killed one does not lock it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

from prodrec.core.base import dist
from prodrec.core.base.errors import RunLocked
from prodrec.core.base.lock import HOLDER_NAME, LOCK_NAME, lock_directory, lock_run

LOCK_AND_WAIT = """
import os, sys, time
from pathlib import Path
from prodrec.core.base.lock import lock_run
with lock_run(Path(sys.argv[1])):
    if not os.fork():  # like a data loader, which survives the kill of its parent for a while
        time.sleep(60)
    print("locked", flush=True)
    sys.stdin.readline()
"""


def test_a_directory_is_locked_until_its_process_ends_or_is_killed(tmp_path: Path) -> None:
    for end in ("ends", "is killed"):
        command = [sys.executable, "-c", LOCK_AND_WAIT, str(tmp_path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        for lock in (lock_run, lock_directory):
            with (
                pytest.raises(RunLocked, match=rf"is being trained by process {process.pid} on \S+; wait"),
                lock(tmp_path),
            ):
                pass
        if end == "ends":
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


def try_to_lock(directory: Path) -> str:
    """Return "locked" if this job can lock `directory`, otherwise the message of the error."""
    dist.barrier()
    try:
        with lock_run(directory):
            return "locked"
    except RunLocked as error:
        return str(error)


def test_all_ranks_raise_the_error(tmp_path: Path, on_ranks: Any) -> None:
    with lock_directory(tmp_path):
        errors = on_ranks(2, try_to_lock, tmp_path)
    assert errors[0] == errors[1] and f"is being trained by process {os.getpid()} on" in errors[0]
    assert not (tmp_path / LOCK_NAME).exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock")])
def test_a_file_system_without_locks_is_used_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def acquire(lock: filelock.BaseFileLock) -> None:
        Path(lock.lock_file).touch()
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with lock_directory(tmp_path), lock_run(tmp_path):
        assert (tmp_path / HOLDER_NAME).read_text("utf-8").startswith(f"process {os.getpid()} on ")
    assert not list(tmp_path.iterdir())


def test_a_lock_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(OSError), lock_directory(tmp_path):
        pass
