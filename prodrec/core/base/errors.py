"""The facts that can go wrong, named.

Every message is one sentence (or two short ones): what was found, where, what was expected, what to do.
`UserError` and below are the user's to mend and end the command with exit code 2; the rest is failed work, exit code 1.
"""

from __future__ import annotations

from collections.abc import Iterable


class ProdrecError(Exception):
    """Work that failed for a reason we can name. Exit code 1."""

    exit_code = 1


class UserError(ProdrecError):
    """Something handed to a command is not as it must be. Exit code 2."""

    exit_code = 2


class NotFound(UserError):
    """A file or directory named by the user does not exist."""


class OutputExists(UserError):
    """The place to write to is taken, and nobody said `--force`."""


class RunLocked(UserError):
    """Another process is at work on the same thing."""


class BadTable(UserError):
    """A products table cannot be read, or lacks a column, or holds no usable row."""


class BadPhoto(UserError):
    """A photo to recognise cannot be decoded."""


class BadFeatures(UserError):
    """A file of feature vectors cannot be read, or does not fit the tables, or holds what is no number."""


class BadOption(UserError):
    """An option or a `--set` key is unknown, malformed or contradicts another."""


class BadArtefact(UserError):
    """A dataset, run, embeddings or scores file is truncated, of another kind or of another format version."""


class Mismatch(UserError):
    """Two artefacts do not belong together: other classes, another dataset, another network."""


class Interrupted(ProdrecError):
    """The user pressed Ctrl-C; the message says what stands and how to go on. Exit code 130, as shells have it."""

    exit_code = 130


class LostContact(ProdrecError):
    """Another rank of the job was killed or cannot be reached any more. Exit code 1."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`' (did you mean lr?)'` for the closest known name, whatever its case, or `''` where none is close."""
    import difflib

    plain = {name.casefold(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(word.casefold(), plain, n=1, cutoff=0.5)
    return f" (did you mean {plain[close[0]]}?)" if close else ""
