"""One training at a time in a run directory: who trains holds a lock on a file in it, until it ends or is killed."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prodrec.core.base import dist
from prodrec.core.base.errors import RunLocked

NAME = ".lock"


@contextmanager
def sole_use(directory: Path) -> Iterator[None]:
    """Hold `directory` for this job; all ranks call it. Raises RunLocked on all of them where another job holds it."""
    held = dist.run_on_main(lambda: _take(directory))
    try:
        yield
    finally:
        if dist.is_main():
            _leave(directory, held)


@contextmanager
def held_by_this_process(directory: Path) -> Iterator[None]:
    """Hold `directory` for the one process that asks. Raises RunLocked."""
    held = _take(directory)
    try:
        yield
    finally:
        _leave(directory, held)


def _take(directory: Path) -> int:
    """The number of the locked file. The lock is this process's: those that load photos, forked later, have no part."""
    path = directory / NAME
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = os.pread(number, 200, 0).decode(errors="replace") or "another process"
            os.close(number)
            raise RunLocked(f"{directory} is being trained by {holder}; wait for it, or stop it first.") from error
        except OSError:
            return number  # a file system without locks: nothing can be known
        if path.exists() and path.stat().st_ino == os.fstat(number).st_ino:
            with suppress(OSError):  # a full disk locks all the same
                os.truncate(number, 0)
                os.pwrite(number, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            return number
        os.close(number)  # whoever held it has just left and removed it


def _leave(directory: Path, number: int) -> None:
    (directory / NAME).unlink(missing_ok=True)
    os.close(number)
