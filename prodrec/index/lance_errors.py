"""What the errors of lancedb mean, which raises those of Python and of Rust for damaged files, and none of its own."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from prodrec.core.base.errors import BadArtefact, ProdrecError

REMEDY = "make the index again with `prodrec index build`"
NO_DAMAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EACCES}
"""Errors of the operating system that Python raises for its own files; their number is in what lancedb raises."""


@contextmanager
def reading(what: str = "the products of the index") -> Iterator[None]:
    """Raise ProdrecError if files of a version are gone, and BadArtefact for damaged ones."""
    try:
        yield
    except Exception as error:
        _raise_others(error)
        if "Not found" in str(error):
            raise ProdrecError(
                f"files of this version of the index were removed by a later update, or deleted "
                f"({first_line(error)}); open the index again, or {REMEDY}."
            ) from error
        raise BadArtefact(f"{what} cannot be read ({first_line(error)}); {REMEDY}.") from error


@contextmanager
def writing() -> Iterator[None]:
    """Raise OSError for a full disk and the like, and ProdrecError for what cannot be written for other reasons."""
    try:
        yield
    except Exception as error:
        _raise_others(error)
        raise ProdrecError(f"the products of the index cannot be written ({first_line(error)}); {REMEDY}.") from error


def first_line(error: Exception) -> str:
    """Return what an error says, without the place in the source of lancedb."""
    lines = str(error).splitlines() or [type(error).__name__]
    return re.sub(r", /\S*\.rs:\d+:\d+", "", lines[0])


def _raise_others(error: Exception) -> None:
    """Raise the errors that lancedb does not raise, and those of the system that are no damage, such as a full disk."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    if found and int(found[1]) in NO_DAMAGE:
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
    if not isinstance(error, RuntimeError | ValueError | OSError) and type(error).__name__ != "RustPanic":
        raise error
