"""Ctrl-C and SIGTERM: both raise KeyboardInterrupt, and are remembered."""

from __future__ import annotations

import signal

RECEIVED: list[int] = []
"""The signals that asked this process to stop. A library that is being imported may turn the KeyboardInterrupt of a
signal into an ImportError."""


def handle_signals() -> None:
    """Make Ctrl-C and SIGTERM raise KeyboardInterrupt from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _stop(number: int, _: object) -> None:
    RECEIVED.append(number)
    raise KeyboardInterrupt
