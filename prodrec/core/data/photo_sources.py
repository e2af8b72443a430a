"""Where photos come from: a folder, a tar or a zip file, as one list of names and places to read bytes from.

How a name in a table is looked up among them is in photo_lookup.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.photo_lookup import find_photos
from prodrec.core.errors import BadOption, NotFound

if TYPE_CHECKING:
    import polars as pl

PHOTO_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")

_NOISE = ("__MACOSX/", ".DS_Store")
_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True)
class Place:
    """Where the bytes of one photo stand: `length` bytes of `file` from `offset` on; a negative length is all of it."""

    file: str
    offset: int = 0
    length: int = -1
    deflated: bool = False

    def read(self) -> bytes:
        """The bytes of the photo. Raises OSError or zlib.error."""
        with open(self.file, "rb") as stream:  # noqa: PTH123 - half the cost of Path.open, and this runs for every photo
            stream.seek(self.offset)
            data = stream.read(self.length)
        return zlib.decompress(data, -zlib.MAX_WBITS) if self.deflated else data


@dataclass(frozen=True, eq=False)
class Places:
    """Places of photos, in order: files by their `names` in the folder `where`, or parts of the one file `where`.

    offsets, lengths, deflated: as in PhotoSource
    """

    where: str
    names: list[str] | None
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    deflated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets) if self.names is None else len(self.names)

    def __iter__(self) -> Iterator[Place]:
        if self.names is not None:
            return (Place(os.path.join(self.where, name)) for name in self.names)  # noqa: PTH118 - see Place.read
        columns = (self.offsets.tolist(), self.lengths.tolist(), self.deflated.tolist())
        return (Place(self.where, *place) for place in zip(*columns, strict=True))


@dataclass(frozen=True, eq=False)
class PhotoSource:
    """P photos by name, in order of their names.

    names:    P names with `/` between folders
    archive:  the one file that holds all photos, or None for a folder of files
    offsets, lengths, deflated: places inside the archive, [P]; empty arrays for a folder
    problems: why a photo cannot be read at all, by its number
    """

    where: Path
    names: list[str]
    archive: str | None
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    deflated: NDArray[np.bool_]
    problems: dict[int, str]

    def __len__(self) -> int:
        return len(self.names)

    def places(self, photos: NDArray[np.int64]) -> Places:
        """Where the bytes of `photos` stand, in a form to be sent to another process."""
        where = os.path.abspath(self.archive or self.where)  # noqa: PTH100 - resolves no links: they may be replaced
        if self.archive is None:
            names = [self.names[photo] for photo in photos.tolist()]
            return Places(where, names, self.offsets, self.lengths, self.deflated)
        return Places(where, None, self.offsets[photos], self.lengths[photos], self.deflated[photos])

    def find(self, wanted: pl.Series) -> tuple[NDArray[np.int64], dict[int, str]]:
        """The photo number of every name in `wanted` (-1 where there is none), and why, by position in `wanted`."""
        return find_photos(self.names, wanted, self.where)


def open_photos(where: Path, *, unpack_into: Path | None) -> PhotoSource:
    """List the photos of a folder, tar or zip. A compressed tar is unpacked to a file in `unpack_into` first.

    Raises NotFound, or BadOption for a file of another kind or a compressed tar that may not be unpacked (None).
    """
    if not where.exists():
        raise NotFound(f"--images {where} does not exist; expected a folder, a tar or a zip file of photos.")
    if where.is_dir():
        return _folder(where)
    if zipfile.is_zipfile(where):
        return _zip(where)
    with where.open("rb") as stream:
        start = stream.read(6)
    archive = where
    unpack = next((unpack for magic, unpack in _PACKED.items() if start.startswith(magic)), None)
    if unpack is not None:
        if unpack_into is None:
            raise BadOption(f"--in-place cannot use the compressed {where}: unpack it, or leave out --in-place.")
        archive = unpack_into / "photos.tar"
        try:
            with unpack(where) as packed, archive.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise BadOption(f"--images {where} cannot be unpacked ({error}); it is broken or truncated.") from error
    return _tar(archive, where)


def _folder(where: Path) -> PhotoSource:
    names: list[str] = []
    seen: set[str] = set()
    for folder, folders, files in os.walk(where, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        inside = os.path.relpath(folder, where)
        prefix = "" if inside == "." else inside.replace(os.sep, "/") + "/"
        names += [prefix + name for name in files if _is_wanted(prefix + name)]
    none = np.empty(0, np.int64)
    return PhotoSource(where, sorted(names), None, none, none, none.astype(bool), {})


def _tar(archive: Path, where: Path) -> PhotoSource:
    members: dict[str, tuple[int, int, bool]] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                name = _clean(member.name)
                if member.islnk() and _clean(member.linkname) in members:
                    members[name] = members[_clean(member.linkname)]
                elif member.isreg() and _is_wanted(name):
                    members[name] = (member.offset_data, member.size, False)
                tar.members = []  # type: ignore[attr-defined]  # otherwise every header is kept
    except (tarfile.TarError, EOFError) as error:
        raise BadOption(f"--images {where} is neither a folder nor a readable tar or zip file ({error}).") from error
    return _archived(archive, members, {})


def _zip(where: Path) -> PhotoSource:
    members: dict[str, tuple[int, int, bool]] = {}
    problems: dict[str, str] = {}
    try:
        archive = zipfile.ZipFile(where)
    except zipfile.BadZipFile as error:
        raise BadOption(f"--images {where} is not a readable zip file ({error}).") from error
    with archive, where.open("rb") as stream:
        for member in archive.infolist():
            name = _clean(member.filename)
            if member.is_dir() or not _is_wanted(name):
                continue
            stream.seek(member.header_offset + 26)
            name_length, extra_length = struct.unpack("<HH", stream.read(4))
            start = member.header_offset + 30 + name_length + extra_length
            members[name] = (start, member.compress_size, member.compress_type == zipfile.ZIP_DEFLATED)
            if member.flag_bits & 1:
                problems[name] = "it is encrypted in the zip file"
            elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                problems[name] = "its compression in the zip file is neither stored nor deflated"
    return _archived(where, members, problems)


def _archived(archive: Path, members: dict[str, tuple[int, int, bool]], problems: dict[str, str]) -> PhotoSource:
    names = sorted(members)
    places = np.array([members[name] for name in names], dtype=np.int64).reshape(-1, 3)
    numbered = {i: problems[name] for i, name in enumerate(names) if name in problems}
    path = os.path.abspath(archive)  # noqa: PTH100 - resolves no links: they may be replaced
    return PhotoSource(archive, names, path, places[:, 0], places[:, 1], places[:, 2].astype(bool), numbered)


def _clean(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/"))).lstrip("/")


def _is_wanted(name: str) -> bool:
    return not (name.startswith(_NOISE) or name.rpartition("/")[2].startswith("._") or name.endswith(".DS_Store"))


def photo_names(source: PhotoSource) -> list[str]:
    """The names with a photo's extension, for catalogues that are only folders."""
    return [name for name in source.names if name.lower().endswith(PHOTO_ENDINGS)]
