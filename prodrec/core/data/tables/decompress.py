"""Open files that may be compressed: by gzip, bzip2 or xz, or as the only table in a zip file.

The first bytes show it, not the name: browsers and servers decompress files and keep their names, or the reverse.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.formats import FORMATS

_UNDOUBTED = frozenset(FORMATS) - {".txt"}
"""Endings that only tables have; a text may be a description of the other files."""

_NAMES_IN_MESSAGE = 5

_READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
"""What the standard library raises for damaged files, and for compressions that it does not support."""


_OPENERS: tuple[tuple[bytes, Any], ...] = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
"""Functions that open a compressed file, by its first bytes."""


def open_decompressed(path: Path) -> IO[bytes]:
    """Open `path` for reading bytes. A compressed file is decompressed, and of a `.zip` the only table is read.

    Raise BadTable if the file cannot be opened, or a zip contains several tables or none.
    """
    try:
        if path.suffix.lower() == ".zip":
            archive = zipfile.ZipFile(path)
            return archive.open(_only_member(path, archive))
        with path.open("rb") as stream:
            beginning = stream.read(8)
        opener = next((opener for first_bytes, opener in _OPENERS if beginning.startswith(first_bytes)), None)
        return path.open("rb") if opener is None else cast("IO[bytes]", opener(path))
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def zipped_table(path: Path) -> str:
    """Return the name of the only table in a zip. Raise BadTable if it contains several or none."""
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
    """Return the only file, or the only one with the name of a table, without those that macOS adds. Raise BadTable."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and not PurePosixPath(member.filename).name.startswith(".")
    ]
    tables = [member for member in members if PurePosixPath(member.filename).suffix.lower() in _UNDOUBTED]
    if len(tables) > 1:
        names = ", ".join(member.filename for member in tables[:_NAMES_IN_MESSAGE])
        raise BadTable(f"{path} contains {len(tables)} tables ({names}); expected one: unpack it and name the table.")
    if len(tables or members) != 1:
        raise BadTable(f"{path} contains {len(members)} files; expected one table: unpack it and name the table.")
    member = (tables or members)[0]
    if member.flag_bits & 1:
        raise BadTable(f"{path} is protected by a password; unpack it and name the table.")
    return member


def _unreadable(path: Path, error: Exception) -> BadTable:
    if isinstance(error, PermissionError):
        return BadTable(f"{path} cannot be read: permission denied.")
    return BadTable(f"{path} cannot be read: {str(error).rstrip('.')}; copy or download it again.")
