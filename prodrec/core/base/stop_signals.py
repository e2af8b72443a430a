"""Ctrl-C and SIGTERM: both raise KeyboardInterrupt in prodrec's own code, and are remembered.

Python calls a handler between two instructions of whatever runs in the main thread. Where that is a function that a
library has called from C, Rust or Cython, the exception is dropped, or the library prints a panic. A signal that meets
the code of a library therefore waits for prodrec's code, but not longer than SECONDS_IN_LIBRARIES.
"""

from __future__ import annotations

import _thread
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

RECEIVED: list[int] = []
"""The signals that asked this process to stop. A library that is being imported may turn the KeyboardInterrupt of a
signal into an ImportError."""

SECONDS_IN_LIBRARIES = 0.5
"""A signal waits so long for the code of a library to return: longer than most callbacks, and not noticed by people."""

_SECONDS_TO_NEXT_TRY = 0.02
_OWN = ("prodrec", "__main__")

_waiting_since: list[float] = []
"""The time of a signal that has not been raised yet, on `time.monotonic`; else empty."""
_sender: list[threading.Thread] = []
"""The thread that sends a waiting signal again; a process that is forked has none."""


def handle_signals() -> None:
    """Make Ctrl-C and SIGTERM raise KeyboardInterrupt from now on.

    Where Python drops an exception, such as in `__del__`, it calls only `sys.unraisablehook`. A KeyboardInterrupt that
    is dropped there is raised once more a moment later, as often as it takes.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    sys.unraisablehook = functools.partial(_try_again_if_dropped, sys.unraisablehook)


def raise_waiting() -> None:
    """Raise KeyboardInterrupt now if a signal waits for the end of a library's code."""
    if _waiting_since:
        _waiting_since.clear()
        raise KeyboardInterrupt


def _stop(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if not _waiting_since:
        RECEIVED.append(number)
        _waiting_since.append(now)
    if _is_own(frame) or now - _waiting_since[0] > SECONDS_IN_LIBRARIES:
        raise_waiting()
    _send_later(number)


def _is_own(frame: FrameType | None) -> bool:
    return frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] in _OWN


def _try_again_if_dropped(hook: Callable[[Any], object], dropped: Any) -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt) and RECEIVED:
        _waiting_since[:] = [time.monotonic()]
        _send_later(RECEIVED[-1])
    else:
        hook(dropped)


def _send_later(number: int) -> None:
    """Send the signal to the main thread again and again until it is raised."""
    if not _sender or not _sender[0].is_alive():
        _sender[:] = [threading.Thread(target=_send, args=(number,), daemon=True)]
        _sender[0].start()


def _send(number: int) -> None:
    while True:
        time.sleep(_SECONDS_TO_NEXT_TRY)
        handler = signal.getsignal(number)
        if not _waiting_since:
            return
        if handler is signal.SIG_IGN:  # only for a moment
            continue
        if handler is not _stop:  # it decides from now on
            _waiting_since.clear()
        if sys.platform == "win32":
            _thread.interrupt_main(number)
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, number)  # it may wait in a system call
