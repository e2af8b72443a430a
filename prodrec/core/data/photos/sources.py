"""Where photos come from: a folder, a tar or a zip file, as one list of names and places to read bytes from.

Of ten million photos no Python object each is kept: names are Texts, places arrays.

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
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.lookup import Lookup, find_photos

if TYPE_CHECKING:
    import polars as pl

Member = tuple[str, int, int, int, int]
"""A photo as it is met: name, offset, length, whether it is deflated, and its number in PROBLEMS."""

PROBLEMS = (
    "",
    "it is encrypted in the zip file",
    "its compression in the zip file is neither stored nor deflated",
    "it is a link that leads nowhere",
)
"""Why a photo cannot be read at all."""

PHOTO_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")

_NOISE = ("__MACOSX/", ".DS_Store")
_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True)
class PhotoLocation:
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
class PhotoLocations:
    """Where photos are, in order: files by their `names` in the folder `where`, or parts of the one file `where`.

    where: an absolute path; offsets, lengths, deflated: as in PhotoSource
    """

    where: str
    names: Texts | None
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    deflated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[PhotoLocation]:
        if self.names is not None:
            return (PhotoLocation(os.path.join(self.where, name)) for name in self.names)  # noqa: PTH118 - see PhotoLocation.read
        columns = (self.offsets.tolist(), self.lengths.tolist(), self.deflated.tolist())
        return (PhotoLocation(self.where, *place) for place in zip(*columns, strict=True))

    def frame(self) -> pl.DataFrame:
        """The same as a table: file, offset, length, deflated."""
        import polars as pl

        if self.names is None:
            file = pl.repeat(self.where, len(self), dtype=pl.String, eager=True)
        else:
            file = pl.select(pl.lit(os.path.join(self.where, "")) + self.names.to_polars()).to_series()  # noqa: PTH118
        columns = {"offset": self.offsets, "length": self.lengths, "deflated": self.deflated}
        return pl.DataFrame([file.alias("file"), *(pl.Series(name, column) for name, column in columns.items())])


@dataclass(frozen=True, eq=False)
class PhotoSource:
    """P photos by name, in order of their names.

    names:    P names with `/` between folders
    archive:  the one file that holds all photos, or None for a folder of files
    offsets, lengths, deflated: int64, int64 and bool [P], places inside the archive; 0, -1 and False for files
    problems: uint8 [P], the number of what is wrong in PROBLEMS
    """

    where: Path
    names: Texts
    archive: str | None
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    deflated: NDArray[np.bool_]
    problems: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)

    def places(self, photos: NDArray[np.int64]) -> PhotoLocations:
        """Where the bytes of `photos` stand, in a form to be sent to another process."""
        where = os.path.abspath(self.archive or self.where)  # noqa: PTH100 - resolves no links: they may be replaced
        names = self.names.take(photos) if self.archive is None else None
        return PhotoLocations(where, names, self.offsets[photos], self.lengths[photos], self.deflated[photos])

    def find(self, wanted: pl.Series) -> Lookup:
        """The photo that every name in `wanted` means, or why there is none."""
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
    return _source(where, None, _files(where))


def _files(where: Path) -> Iterator[Member]:
    """Every file below the folder, also through links; a folder that cannot be read counts as empty."""
    seen: set[str] = set()
    folders = [(os.fspath(where), "")]
    while folders:
        folder, prefix = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            continue
        seen.add(real)
        inside = []
        with suppress(PermissionError), os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if _is_folder(entry):
                    inside.append((entry.path, f"{name}/"))
                elif _is_wanted(name):
                    dangles = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110 - as above
                    yield name, 0, -1, False, 3 * dangles
        folders += reversed(inside)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _tar(archive: Path, where: Path) -> PhotoSource:
    linked: dict[str, str] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            found = _source(archive, archive, _members(tar, linked))
    except (tarfile.TarError, EOFError) as error:
        raise BadOption(f"--images {where} is neither a folder nor a readable tar or zip file ({error}).") from error
    if not linked:
        return found
    at = found.names.find(list(linked.values())).tolist()
    rows = zip(found.names, found.offsets.tolist(), found.lengths.tolist(), strict=True)
    links = ((name, int(found.offsets[i]), int(found.lengths[i])) for name, i in zip(linked, at, strict=True) if i >= 0)
    return _source(archive, archive, ((*place, False, 0) for place in chain(rows, links)))


def _members(tar: tarfile.TarFile, linked: dict[str, str]) -> Iterator[Member]:
    """The files of a tar; hard links go to `linked`, with the names of the files that they share."""
    for member in tar:
        name = _clean(member.name)
        if member.islnk() and _is_wanted(name):
            target = _clean(member.linkname)
            linked[name] = linked.get(target, target)
        elif member.isreg() and _is_wanted(name):
            yield name, member.offset_data, member.size, False, 0
        tar.members = []  # type: ignore[attr-defined]  # otherwise every header is kept


def _zip(where: Path) -> PhotoSource:
    try:
        archive = zipfile.ZipFile(where)
    except zipfile.BadZipFile as error:
        raise BadOption(f"--images {where} is not a readable zip file ({error}).") from error
    with archive, where.open("rb") as stream:
        return _source(where, where, _entries(archive, stream))


def _entries(archive: zipfile.ZipFile, stream: IO[bytes]) -> Iterator[Member]:
    for member in archive.infolist():
        name = _clean(member.filename)
        if member.is_dir() or not _is_wanted(name):
            continue
        stream.seek(member.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", stream.read(4))
        start = member.header_offset + 30 + name_length + extra_length
        known = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        problem = 1 if member.flag_bits & 1 else 0 if known else 2
        yield name, start, member.compress_size, member.compress_type == zipfile.ZIP_DEFLATED, problem


def _source(where: Path, archive: Path | None, members: Iterable[Member]) -> PhotoSource:
    """The photos in order of their names; of several with one name the last."""
    numbers, unnamed = array("q"), 0

    def names() -> Iterator[str]:
        nonlocal unnamed
        for name, *place in members:
            try:
                name.encode()
            except UnicodeEncodeError:
                unnamed += 1
            else:
                numbers.extend(place)
                yield name

    listed = Texts.of(names())
    if unnamed:
        console.warn(f"{unnamed:,} files in {where} are left out: their names are no UTF-8, which tables are.")
    order = listed.to_polars().arg_sort().to_numpy()
    in_order, is_first = listed.take(order), np.ones(len(order), bool)
    is_first[1:] = ~in_order[1:].same(in_order[:-1])
    order = np.maximum.reduceat(order, np.flatnonzero(is_first)) if len(order) else order
    del in_order
    offsets, lengths, deflated, problems = np.array(numbers, np.int64).reshape(-1, 4)[order].T
    path = None if archive is None else os.path.abspath(archive)  # noqa: PTH100 - resolves no links: they may be replaced
    return PhotoSource(
        where, listed.take(order), path, offsets, lengths, deflated.astype(bool), problems.astype(np.uint8)
    )


def _clean(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/"))).lstrip("/")


def _is_wanted(name: str) -> bool:
    return not (name.startswith(_NOISE) or name.rpartition("/")[2].startswith("._") or name.endswith(".DS_Store"))


def photo_names(source: PhotoSource) -> Texts:
    """The names with a photo's extension, for catalogues that are only folders."""
    ending = source.names.to_polars().str.to_lowercase().str.extract(r"(\.[a-z]+)$")
    return source.names.take(ending.is_in(PHOTO_ENDINGS).fill_null(value=False).arg_true().to_numpy())
