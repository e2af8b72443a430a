"""Open files that may be compressed: `.gz`, or a `.zip` that contains one file."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, cast

from prodrec.core.base.errors import BadTable

_READ_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)
"""What the standard library raises for damaged files, and for compressions that it does not support."""


def open_decompressed(path: Path) -> IO[bytes]:
    """Open `path` for reading bytes. A `.gz` is decompressed, and of a `.zip` the only file is read.

    Raise BadTable if the file cannot be opened, or a zip contains several files or none.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".gz":
            return cast("IO[bytes]", gzip.open(path))
        if suffix != ".zip":
            return path.open("rb")
        archive = zipfile.ZipFile(path)
        return archive.open(_only_member(path, archive))
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def zipped_table(path: Path) -> str:
    """Return the name of the only file in a zip. Raise BadTable if it contains several or none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _only_member(path, archive).filename
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def read_bytes(stream: IO[bytes], size: int, path: Path) -> bytes:
    """Return the next `size` bytes of `stream`. Raise BadTable if `path` cannot be decompressed."""
    try:
        return stream.read(size)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the only file, without those that macOS adds. Raise BadTable."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    if len(members) != 1:
        raise BadTable(f"{path} contains {len(members)} files; expected one table: unpack it and name the table.")
    if members[0].flag_bits & 1:
        raise BadTable(f"{path} is protected by a password; unpack it and name the table.")
    return members[0]


def _unreadable(path: Path, error: Exception) -> BadTable:
    if isinstance(error, PermissionError):
        return BadTable(f"{path} cannot be read: permission denied.")
    return BadTable(f"{path} cannot be read: {str(error).rstrip('.')}; copy or download it again.")
