"""Stop training before its last step: after a signal, or because another rank is gone."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import console, dist, rank_failures
from prodrec.core.base.errors import Interrupted, LostContact

if TYPE_CHECKING:
    from prodrec.core.training.loop import Step

SECONDS_OF_ONE_REQUEST = 5.0
"""Signals within this time are one request: a Ctrl-C reaches each rank from the terminal, and again from torchrun."""


class StopRequest:
    """The request of the user to stop training after the current step. Each rank has its own."""

    def __init__(self) -> None:
        self.is_set = False
        self._time = 0.0

    def is_agreed(self, step: Step) -> bool:
        """Return whether all ranks stop after `step`. All ranks must call this.

        The flags of a step are read before its backward pass. A later request waits for the next step, except at the
        end of an epoch, because validation takes long, and in a single process, where the check costs nothing.
        """
        if "stop" in step.flags:
            return True
        return (step.ends_epoch or dist.world_size() == 1) and dist.any_rank(self.is_set)

    def handle_signal(self, *_: object) -> None:
        """Set the request. Raise KeyboardInterrupt for a second signal.

        On several ranks, a signal within SECONDS_OF_ONE_REQUEST of the first one is ignored.
        """
        if not self.is_set:
            self.is_set, self._time = True, time.monotonic()
            console.info("stopping after this step; interrupt again to stop at once, with the last checkpoint only.")
        elif dist.world_size() == 1 or time.monotonic() - self._time > SECONDS_OF_ONE_REQUEST:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Yield a request that Ctrl-C or SIGTERM sets. A second signal raises KeyboardInterrupt."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread receives signals
        return
    console.width()  # imports rich now: in a signal handler, the import could fail
    handlers = {number: signal.signal(number, request.handle_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def name_resume_command(command: str) -> Iterator[None]:
    """Raise Interrupted for a KeyboardInterrupt, and LostContact if another rank is gone. Both name `command`."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped at once; the last checkpoint is complete. Continue with `{command}`.") from error
    except RuntimeError as error:
        if not rank_failures.is_lost_contact(error):
            raise
        raise LostContact(
            "lost contact with another rank (it was killed, or its machine is gone); the last checkpoint is complete. "
            f"Continue with `{command}`."
        ) from error


def resume_command(family: str, dataset: Path, run: Path) -> str:
    """Return the command that resumes a run on the current number of ranks.

    On several machines, "…" replaces the options of torchrun.
    """
    command = shlex.join(["prodrec", "train", family, str(dataset), "--out", str(run), "--resume"])
    if dist.world_size() == 1:
        return command
    one_machine = dist.local_world_size() == dist.world_size()
    ranks = f"--nproc-per-node {dist.local_world_size()}" if one_machine else "…"
    return f"torchrun {ranks} -m {command}"
