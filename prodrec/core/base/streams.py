"""Standard output and standard error that may be full, closed or absent.

A message that cannot be written stops no work. A result that cannot be written is an error, unless its reader has gone,
as in `prodrec report | head`.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, Any


class Stream:
    """A text stream as `rich` and `write` use it.

    attribute: of the module sys; it is looked up at every use, because programs and tests replace it
    name:      of the stream in messages
    ignore:    the errors after which everything that is written is dropped; others are raised
    """

    def __init__(self, attribute: str, name: str, ignore: tuple[type[Exception], ...]) -> None:
        self._attribute, self._name, self._ignore = attribute, name, ignore

    @property
    def _stream(self) -> IO[str] | None:
        """The stream, or None in a process that was started without it."""
        stream: IO[str] | None = getattr(sys, self._attribute)
        return stream

    def write(self, text: str) -> int:
        """Write text."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is in the buffer."""
        self._try(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Return whether a person sees the stream."""
        with suppress(ValueError):  # it is closed
            return self._stream is not None and self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, use: Any) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            use(stream)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a signal came while the stream was writing
            _drop(stream)
            if isinstance(error, self._ignore):
                return
            if isinstance(error, OSError):
                error.filename = self._name
            raise


MESSAGES = Stream("stderr", "standard error", (OSError, ValueError, RuntimeError))
RESULTS = Stream("stdout", "standard output", (BrokenPipeError,))


def _drop(stream: IO[str]) -> None:
    """Send what is left in the buffer, and what comes, to nowhere, so that Python can close the stream at its end."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
