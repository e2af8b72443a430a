"""Lock a directory that only one job may change at a time: a run while it trains, an index while it is updated.

The operating system releases the lock when the process ends, also after a kill, and forked data loaders do not inherit
it (filelock 3.30 and later). A second file names the process that has the lock:

    .lock         locked by filelock
    .lock-holder  "process PID on HOST"
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from prodrec.core.base import dist
from prodrec.core.base.errors import RunLocked

LOCK_NAME = ".lock"
HOLDER_NAME = ".lock-holder"

SECONDS_TO_RETRY = 0.2
"""Longest wait for a process that is just releasing the lock, which takes milliseconds."""


@contextmanager
def lock_run(directory: Path) -> Iterator[None]:
    """Lock `directory` for this job. All ranks must call this. Raise RunLocked on all ranks if another job has it."""
    with ExitStack() as stack:

        def lock() -> None:
            stack.enter_context(lock_directory(directory))

        dist.run_on_main(lock)
        yield


@contextmanager
def lock_directory(directory: Path, activity: str = "trained") -> Iterator[bool]:
    """Lock `directory` for this process, and yield whether the one that had it before was killed.

    Raise RunLocked if another process has the lock.

    activity: what is being done to it, for the message

    On a file system that does not support locks, continue without a lock, and yield False.
    """
    path, holder = directory / LOCK_NAME, directory / HOLDER_NAME
    # A soft lock is a file that would remain after a kill and block the next job.
    lock, was_killed = FileLock(path, timeout=SECONDS_TO_RETRY, fallback_to_soft=False), False
    try:
        lock.acquire()
        was_killed = holder.exists()
    except Timeout as error:
        raise RunLocked(
            f"{directory} is being {activity} by {_read_holder(holder)}; wait for it, or stop it first."
        ) from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, PermissionError) or not path.exists():
            raise  # the lock file cannot be created
    try:
        with suppress(OSError):  # a full disk does not prevent locking
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", "utf-8")
        yield was_killed
    finally:
        holder.unlink(missing_ok=True)
        if os.name != "nt":  # on Windows, filelock removes the lock file
            path.unlink(missing_ok=True)  # before the release: afterwards it may be the lock of another process
        lock.release()


def _read_holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8") or "another process"
    return "another process"
