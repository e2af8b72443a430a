"""List the files in a folder, a tar or a zip file, and where the bytes of each are.

Files are yielded one at a time and unsorted: a list of ten million tuples would take about 2 GB.
"""

from __future__ import annotations

import os
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

Member = tuple[str, int, int, bool, int]
"""A file: its name with `/` between folders, its offset and length in bytes, whether it is deflated, and the index in
UNREADABLE_REASONS of why it cannot be read."""

WHOLE_FILE = -1
"""The length of a member that is a file of its own."""

UNREADABLE_REASONS = (
    "",
    "it is encrypted in the zip file",
    "its compression in the zip file is neither stored nor deflated",
    "it is a link that leads nowhere",
)
"""Why a listed photo cannot be read, as in rejected.csv. The first entry is for a readable photo."""

READABLE, ENCRYPTED, UNKNOWN_COMPRESSION, BROKEN_LINK = range(len(UNREADABLE_REASONS))

_SYSTEM_FILES = ("__MACOSX/", ".DS_Store")
_ZIP_HEADER_BYTES = 30  # of a local file header, without the name and the extra field that follow
_ZIP_LENGTHS_OFFSET = 26  # in that header: the lengths of the name and of the extra field, two bytes each
_ZIP_ENCRYPTED = 0x1  # flag bit


def folder_members(folder: Path) -> Iterator[Member]:
    """Yield every file below `folder`, symbolic links included. A folder without read permission counts as empty."""
    visited: set[str] = set()
    folders = [(os.fspath(folder), "")]
    while folders:
        path, prefix = folders.pop()
        real_path = os.path.realpath(path)
        if real_path in visited:  # reached again through a symbolic link
            continue
        visited.add(real_path)
        subfolders = []
        with suppress(PermissionError), os.scandir(path) as entries:
            for entry in entries:
                name = prefix + entry.name
                if _is_folder(entry):
                    subfolders.append((entry.path, f"{name}/"))
                elif not _is_system_file(name):
                    is_broken = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 - runs for every photo
                    yield name, 0, WHOLE_FILE, False, BROKEN_LINK if is_broken else READABLE
        folders += reversed(subfolders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def tar_members(tar: tarfile.TarFile, hard_links: dict[str, str]) -> Iterator[Member]:
    """Yield the regular files of an uncompressed tar.

    Hard links are not yielded but added to `hard_links`: the name of each, and the name of the file that it links to.
    """
    for member in tar:
        name = _normalise(member.name)
        if member.islnk() and not _is_system_file(name):
            target = _normalise(member.linkname)
            hard_links[name] = hard_links.get(target, target)
        elif member.isreg() and not _is_system_file(name):
            yield name, member.offset_data, member.size, False, READABLE
        tar.members = []  # type: ignore[attr-defined]  # otherwise tarfile keeps every header in memory


def zip_members(archive: zipfile.ZipFile, stream: IO[bytes]) -> Iterator[Member]:
    """Yield the files of a zip archive. `stream` is the same archive, opened for reading the local file headers."""
    for member in archive.infolist():
        name = _normalise(member.filename)
        if member.is_dir() or _is_system_file(name):
            continue
        stream.seek(member.header_offset + _ZIP_LENGTHS_OFFSET)
        name_length, extra_length = struct.unpack("<HH", stream.read(4))
        start = member.header_offset + _ZIP_HEADER_BYTES + name_length + extra_length
        is_deflated = member.compress_type == zipfile.ZIP_DEFLATED
        yield name, start, member.compress_size, is_deflated, _zip_problem(member)


def _zip_problem(member: zipfile.ZipInfo) -> int:
    if member.flag_bits & _ZIP_ENCRYPTED:
        return ENCRYPTED
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return UNKNOWN_COMPRESSION
    return READABLE


def _normalise(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/"))).lstrip("/")


def _is_system_file(name: str) -> bool:
    return name.startswith(_SYSTEM_FILES) or name.rpartition("/")[2].startswith("._") or name.endswith(".DS_Store")
