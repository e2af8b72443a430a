"""Ctrl-C and SIGTERM: both raise KeyboardInterrupt, and are remembered."""

from __future__ import annotations

import _thread
import functools
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

RECEIVED: list[int] = []
"""The signals that asked this process to stop. A library that is being imported may turn the KeyboardInterrupt of a
signal into an ImportError."""
_SECONDS_TO_NEXT_TRY = 0.02


def handle_signals() -> None:
    """Make Ctrl-C and SIGTERM raise KeyboardInterrupt from now on.

    Python drops an exception that is raised in `__del__` or in a function of a C library that cannot fail, and tells
    only `sys.unraisablehook`. A KeyboardInterrupt that is dropped there is raised once more a moment later, as often
    as it takes.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    sys.unraisablehook = functools.partial(_try_again, sys.unraisablehook)


def _stop(number: int, _: object) -> None:
    RECEIVED.append(number)
    raise KeyboardInterrupt


def _try_again(hook: Callable[[Any], object], dropped: Any) -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt) and RECEIVED:
        timer = threading.Timer(_SECONDS_TO_NEXT_TRY, _stop_the_main_thread, [RECEIVED[-1]])
        timer.daemon = True
        timer.start()
    else:
        hook(dropped)


def _stop_the_main_thread(number: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # it may wait in a system call
