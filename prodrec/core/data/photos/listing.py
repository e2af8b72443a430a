"""List the files in a folder, a tar or a zip file, and where the bytes of each are.

Every file is listed, whatever its name: a table may name any of them, and a catalogue of folders accounts for those
that are no photos. Files are yielded one at a time and unsorted: a list of ten million tuples would take about 2 GB.
"""

from __future__ import annotations

import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from prodrec.core.data.photos.locations import WHOLE_FILE

Member = tuple[str, int, int, bool, int]
"""A file: its name with `/` between folders, its offset and length in bytes, whether it is deflated, and the index in
UNREADABLE_REASONS of why it cannot be read."""

ZipMember = tuple[str, int, int, bool, int, int, int, bool]
"""A file of a zip archive: as Member, and its inflated size, its CRC-32, and whether its name has no stated encoding.
Such a name is not normalised and decoded as cp437, from which its bytes can be restored."""

UNREADABLE_REASONS = (
    "",
    "it is encrypted in the zip file",
    "its compression in the zip file is neither stored nor deflated",
    "it is a link that leads nowhere",
    "it is a symbolic link in the tar file; unpack the tar file and give its folder",
    "it is a folder without permission to read it",
    "it is a pipe, a socket or a device",
)
"""Why a listed photo cannot be read, as in rejected.csv. The first entry is for a readable photo."""

READABLE, ENCRYPTED, UNKNOWN_COMPRESSION, BROKEN_LINK, TAR_LINK, CLOSED_FOLDER, NOT_A_FILE = range(
    len(UNREADABLE_REASONS)
)

_ZIP_HEADER_BYTES = 30  # of a local file header, without the name and the extra field that follow
_ZIP_LENGTHS_OFFSET = 26  # in that header: the lengths of the name and of the extra field, two bytes each
_ZIP_ENCRYPTED, _ZIP_UTF8 = 0x1, 0x800  # flag bits
_ZIP_UNICODE_PATH = 0x7075  # an extra field: version, CRC-32 of the name, and the name in UTF-8


def folder_members(folder: Path) -> Iterator[Member]:
    """Yield every file below `folder`, symbolic links included.

    A folder without read permission is yielded as a member whose name ends in a slash.
    """
    visited: set[str] = set()
    folders = [(os.fspath(folder), "")]
    while folders:
        path, prefix = folders.pop()
        real_path = os.path.realpath(path)
        if real_path in visited:  # reached again through a symbolic link
            continue
        visited.add(real_path)
        subfolders = []
        try:
            entries = os.scandir(path)
        except PermissionError:
            yield prefix or "./", 0, WHOLE_FILE, False, CLOSED_FOLDER
            continue
        with entries:
            for entry in entries:
                name = prefix + entry.name
                if _is_folder(entry):
                    subfolders.append((entry.path, f"{name}/"))
                else:
                    yield name, 0, WHOLE_FILE, False, _problem(entry)
        folders += reversed(subfolders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _problem(entry: os.DirEntry[str]) -> int:
    """Return why an entry that is no folder cannot be read. Opening a pipe would wait until someone writes to it."""
    try:
        if entry.is_file():
            return READABLE
    except OSError:  # a link to itself
        return BROKEN_LINK
    return BROKEN_LINK if entry.is_symlink() and not os.path.exists(entry.path) else NOT_A_FILE  # noqa: PTH110 - see folder_members


def tar_members(tar: tarfile.TarFile, hard_links: dict[str, str]) -> Iterator[Member]:
    """Yield the regular files and the symbolic links of an uncompressed tar. Links are not followed.

    Hard links are not yielded but added to `hard_links`: the name of each, and the name of the file that it links to.
    """
    for member in tar:
        name = normalise(member.name)
        if member.islnk():
            target = normalise(member.linkname)
            hard_links[name] = hard_links.get(target, target)
        elif member.isreg():
            yield name, member.offset_data, member.size, False, READABLE
        elif member.issym():
            yield name, 0, 0, False, TAR_LINK
        tar.members = []  # type: ignore[attr-defined]  # otherwise tarfile keeps every header in memory


def zip_members(archive: zipfile.ZipFile, stream: IO[bytes]) -> Iterator[ZipMember]:
    """Yield the files of a zip archive. `stream` is the same archive, opened for reading the local file headers."""
    for member in archive.infolist():
        name, is_unflagged = _zip_name(member)
        if member.is_dir() or (name.endswith("\\") and not member.file_size):
            continue
        stream.seek(max(0, member.header_offset) + _ZIP_LENGTHS_OFFSET)
        # if the offset is wrong, so is the start of the photo, and its checksum shows it
        name_length, extra_length = struct.unpack("<HH", stream.read(4).ljust(4, b"\0"))
        start = max(0, member.header_offset) + _ZIP_HEADER_BYTES + name_length + extra_length
        is_deflated = member.compress_type == zipfile.ZIP_DEFLATED
        part = (start, member.compress_size, is_deflated, _zip_problem(member))
        yield name if is_unflagged else normalise(name), *part, member.file_size, member.CRC, is_unflagged


def _zip_name(member: zipfile.ZipInfo) -> tuple[str, bool]:
    """Return the name of a member, and whether its encoding is not stated."""
    name = member.orig_filename.partition("\0")[0]
    if member.flag_bits & _ZIP_UTF8 or name.isascii():
        return name, False
    extra = member.extra
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == _ZIP_UNICODE_PATH and length > 5:
            (crc,) = struct.unpack("<I", extra[5:9])
            with suppress(UnicodeDecodeError):
                unicode_name = extra[9 : 4 + length].decode()
                if crc == zlib.crc32(name.encode("cp437")):  # otherwise the file was renamed without this field
                    return unicode_name, False
        extra = extra[4 + length :]
    return name, True


def _zip_problem(member: zipfile.ZipInfo) -> int:
    if member.flag_bits & _ZIP_ENCRYPTED:
        return ENCRYPTED
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return UNKNOWN_COMPRESSION
    return READABLE


def normalise(name: str) -> str:
    """Return the name of a member with `/` between folders, and without leading `/` or `./`."""
    return str(PurePosixPath(name.replace("\\", "/"))).lstrip("/")
