"""The messages of libraries: silence those of their logs, and shorten those of their errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the log messages of all libraries; errors are still raised.

    timm, open_clip and the hub's client log on every build, and for minutes while a download is tried again.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message without a full stop, or its type if it has no message."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
