"""Silence the log messages of libraries that report what prodrec reports itself."""

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
