"""Errors of the operating system, in whatever form a library reports them.

HDF5 raises a RuntimeError with `errno = 28` in its message, and libraries in Rust end with `(os error 28)` or, where
they give up, with a panic, which is not an Exception.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEMPORARY_NAME = re.compile(r"(?<![^/\\])\.([^/\\]+)\.(?:partial|replaced)-\d+-[0-9a-f]+")
"""The name of an output that is being written, as `outputs` makes it; its first group is that of the complete one."""
_NUMBER = re.compile(r"errno = (\d+)|os error (\d+)|Os \{ code: (\d+)")
_PATH = re.compile(r"filename = '([^']+)'")


@dataclass(frozen=True)
class SystemFailure:
    """The number of an error (errno), and the file that it is about, if that is known."""

    number: int
    path: str | None


def find_system_error(error: BaseException | None) -> SystemFailure | None:
    """Return the error of the operating system that `error` is, reports in its message, or was caused by."""
    while error is not None:
        found = _of(error)
        if found is not None:
            return found
        error = error.__cause__
    return None


def _of(error: BaseException) -> SystemFailure | None:
    if isinstance(error, OSError) and error.errno is not None:
        path = error.filename if isinstance(error.filename, str) else None
        return SystemFailure(error.errno, None if path is None else final_name(path))
    message = str(error)
    number, path_in_message = _NUMBER.search(message), _PATH.search(message)
    if number is None:
        return None
    return SystemFailure(int(next(filter(None, number.groups()))), path_in_message and final_name(path_in_message[1]))


def final_name(path: str) -> str:
    """Return a path with the names that temporary outputs in it will have when they are complete."""
    return _TEMPORARY_NAME.sub(r"\1", path)


def is_panic(error: BaseException) -> bool:
    """Return whether a library in Rust gave up. Every library has a type of its own for this."""
    return type(error).__module__ == "pyo3_runtime"
