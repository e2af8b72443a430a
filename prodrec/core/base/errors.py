"""Exceptions of prodrec, named by what went wrong.

A message is one or two short sentences: what was found, where, what was expected, and what to do. The exit code of the
command is 2 for a UserError, which the user can correct, 130 for Interrupted, and 1 for any other ProdrecError.
"""

from __future__ import annotations

from collections.abc import Collection

MAX_NAMES = 10_000
"""Largest number of names with which a misspelt word is compared: 10,000 comparisons take half a second."""


DAMAGE = (
    OSError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)
"""What h5py, numpy and json, and the code that uses what they return, raise for the content of a damaged file."""


class ProdrecError(Exception):
    """Work that failed for a known reason. Exit code 1."""

    exit_code = 1


class UserError(ProdrecError):
    """An input of a command is not usable. Exit code 2."""

    exit_code = 2


class NotFound(UserError):
    """A file or directory that the user named does not exist."""


class OutputExists(UserError):
    """The path of an output exists already and may not be replaced, or cannot be created."""


class RunLocked(UserError):
    """Another process is training the same run, or changing the same index."""


class BadTable(UserError):
    """A table of products cannot be read, lacks a column, or has no usable row."""


class BadPhoto(UserError):
    """A photo to recognise cannot be read or decoded, or an array is not a photo."""


class BadFeatures(UserError):
    """A file of feature vectors cannot be read, does not match the tables, or contains NaN or infinity."""


class BadOption(UserError):
    """An option or a `--set` key is unknown, malformed, or contradicts another one."""


class BadArtefact(UserError):
    """An artefact is damaged, of another kind or of another format version, or a run is not finished."""


class Mismatch(UserError):
    """Two artefacts do not belong together: their classes, dataset or network differ."""


class Interrupted(ProdrecError):
    """The user pressed Ctrl-C. The message reports what is saved and how to resume. Exit code 130, as in a shell."""

    exit_code = 130


class LostContact(ProdrecError):
    """Another rank was killed or cannot be reached any more. Exit code 1."""


def did_you_mean(word: str, names: Collection[str]) -> str:
    """Return `' (did you mean lr?)'` with the name most similar to `word`, ignoring case.

    Return an empty string if no name is similar, or if there are more than MAX_NAMES.
    """
    import difflib

    if len(names) > MAX_NAMES:
        return ""
    names_by_folded = {name.casefold(): name for name in reversed(list(names))}
    similar = difflib.get_close_matches(word.casefold(), names_by_folded, n=1, cutoff=0.5)
    return f" (did you mean {names_by_folded[similar[0]]}?)" if similar else ""
