"""The user's photos, in a folder, a tar or a zip file, as one list of names and locations.

Ten million photos are listed without a Python object for each: names are Texts, and locations are arrays.

Shapes: P photos of a source, p some of them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.listing import READABLE, WHOLE_FILE, Member, folder_members, tar_members, zip_members

if TYPE_CHECKING:
    import polars as pl

PHOTO_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")

_DECOMPRESSORS: dict[bytes, Callable[[Path], Any]] = {  # by the first bytes of the file
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


@dataclass(frozen=True)
class PhotoLocation:
    """Where one encoded photo is: `length` bytes of the file `path` from `offset` on, or the whole file."""

    path: str
    offset: int = 0
    length: int = WHOLE_FILE
    deflated: bool = False

    def read(self) -> bytes:
        """Return the bytes of the photo. Raise OSError or zlib.error."""
        with open(self.path, "rb") as stream:  # noqa: PTH123 - half the cost of Path.open, and this runs for every photo
            stream.seek(self.offset)
            data = stream.read(self.length)
        return zlib.decompress(data, -zlib.MAX_WBITS) if self.deflated else data


@dataclass(frozen=True, eq=False)
class PhotoLocations:
    """Where p photos are, in a compact form that can be sent to another process.

    path:       absolute path of the folder or of the archive
    names_p:    names of the files inside the folder; None for an archive
    offsets_p, lengths_p, deflated_p: int64, int64 and bool, the parts of the archive; not used for a folder
    """

    path: str
    names_p: Texts | None
    offsets_p: NDArray[np.int64]
    lengths_p: NDArray[np.int64]
    deflated_p: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets_p)

    def __iter__(self) -> Iterator[PhotoLocation]:
        if self.names_p is not None:
            return (PhotoLocation(os.path.join(self.path, name)) for name in self.names_p)  # noqa: PTH118 - see PhotoLocation.read
        parts = zip(self.offsets_p.tolist(), self.lengths_p.tolist(), self.deflated_p.tolist(), strict=True)
        return (PhotoLocation(self.path, *part) for part in parts)

    def to_polars(self) -> pl.DataFrame:
        """Return a table with the columns file, offset, length and deflated."""
        import polars as pl

        if self.names_p is None:
            file = pl.repeat(self.path, len(self), dtype=pl.String, eager=True)
        else:
            file = pl.select(pl.lit(os.path.join(self.path, "")) + self.names_p.to_polars()).to_series()  # noqa: PTH118
        columns = {"offset": self.offsets_p, "length": self.lengths_p, "deflated": self.deflated_p}
        return pl.DataFrame([file.alias("file"), *(pl.Series(name, column) for name, column in columns.items())])


@dataclass(frozen=True, eq=False)
class PhotoSource:
    """P photos in order of their names.

    path:         the folder or archive that was listed
    archive:      absolute path of the archive, unpacked if it was compressed; None for a folder
    names_P:      names with `/` between folders
    offsets_P, lengths_P, deflated_P: int64, int64 and bool, the parts of the archive; 0, -1 and False for a folder
    unreadable_P: uint8, the index in UNREADABLE_REASONS of why a photo cannot be read; 0 for a readable photo
    """

    path: Path
    archive: str | None
    names_P: Texts
    offsets_P: NDArray[np.int64]
    lengths_P: NDArray[np.int64]
    deflated_P: NDArray[np.bool_]
    unreadable_P: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names_P)

    def locations(self, photo_p: NDArray[np.int64]) -> PhotoLocations:
        """Return the locations of the photos at positions `photo_p`."""
        path = os.path.abspath(self.archive or self.path)  # noqa: PTH100 - resolves no links: they may be replaced
        names_p = self.names_P.take(photo_p) if self.archive is None else None
        return PhotoLocations(path, names_p, self.offsets_P[photo_p], self.lengths_P[photo_p], self.deflated_P[photo_p])


def photo_names(source: PhotoSource) -> Texts:
    """Return the names that have a photo's extension, for a catalogue without tables."""
    extension = source.names_P.to_polars().str.to_lowercase().str.extract(r"(\.[a-z]+)$")
    return source.names_P.take(extension.is_in(PHOTO_EXTENSIONS).fill_null(value=False).arg_true().to_numpy())


def open_photos(path: Path, *, unpack_into: Path | None) -> PhotoSource:
    """List the photos of a folder, a tar or a zip file. Unpack a compressed tar to a file in `unpack_into` first.

    Raise NotFound; BadOption for any other file, or for a compressed tar if `unpack_into` is None.
    """
    if not path.exists():
        raise NotFound(f"--images {path} does not exist; expected a folder, a tar or a zip file of photos.")
    if path.is_dir():
        return _sorted_source(path, None, folder_members(path))
    if zipfile.is_zipfile(path):
        return _open_zip(path)
    return _open_tar(_uncompressed(path, unpack_into), path)


def _uncompressed(path: Path, unpack_into: Path | None) -> Path:
    """Return `path`, or if it is compressed, the file in `unpack_into` that it is unpacked to."""
    with path.open("rb") as stream:
        start = stream.read(6)
    decompress = next((opener for magic, opener in _DECOMPRESSORS.items() if start.startswith(magic)), None)
    if decompress is None:
        return path
    if unpack_into is None:
        raise BadOption(f"--in-place cannot use the compressed {path}: unpack it, or omit --in-place.")
    archive = unpack_into / "photos.tar"
    try:
        with decompress(path) as packed, archive.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BadOption(f"--images {path} cannot be unpacked ({error}); it is broken or truncated.") from error
    return archive


def _open_zip(path: Path) -> PhotoSource:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise BadOption(f"--images {path} is not a readable zip file ({error}).") from error
    with archive, path.open("rb") as stream:
        return _sorted_source(path, path, zip_members(archive, stream))


def _open_tar(archive: Path, path: Path) -> PhotoSource:
    """List an uncompressed tar. Messages name `path`, the file that `archive` was unpacked from."""
    hard_links: dict[str, str] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            files = _sorted_source(archive, archive, tar_members(tar, hard_links))
    except (tarfile.TarError, EOFError) as error:
        raise BadOption(f"--images {path} is neither a folder nor a readable tar or zip file ({error}).") from error
    if not hard_links:
        return files
    entries = zip(files.names_P, files.offsets_P.tolist(), files.lengths_P.tolist(), strict=True)
    targets = files.names_P.find(list(hard_links.values())).tolist()
    links = (
        (name, int(files.offsets_P[target]), int(files.lengths_P[target]))
        for name, target in zip(hard_links, targets, strict=True)
        if target >= 0
    )
    return _sorted_source(archive, archive, ((*entry, False, READABLE) for entry in chain(entries, links)))


def _sorted_source(path: Path, archive: Path | None, members: Iterable[Member]) -> PhotoSource:
    """Return the members in order of their names. If a name occurs several times, only its last member is listed."""
    numbers, skipped = array("q"), 0  # offset, length, deflated and unreadable of every member

    def names() -> Iterator[str]:
        """Yield the names; collect the numbers beside them, since members can be iterated only once."""
        nonlocal skipped
        for name, *member_numbers in members:
            try:
                name.encode()
            except UnicodeEncodeError:
                skipped += 1
            else:
                numbers.extend(member_numbers)
                yield name

    listed = Texts.from_strings(names())
    if skipped:
        console.warn(f"{skipped:,} files in {path} are skipped: their names are not UTF-8, so no table can name them.")
    order = listed.to_polars().arg_sort().to_numpy()
    sorted_names, is_first = listed.take(order), np.ones(len(order), bool)
    is_first[1:] = ~sorted_names[1:].equal_elements(sorted_names[:-1])
    order = np.maximum.reduceat(order, np.flatnonzero(is_first)) if len(order) else order  # the last of equal names
    del sorted_names
    offsets, lengths, deflated, unreadable = np.array(numbers, np.int64).reshape(-1, 4)[order].T
    archive_path = None if archive is None else os.path.abspath(archive)  # noqa: PTH100 - see PhotoSource.locations
    return PhotoSource(
        path, archive_path, listed.take(order), offsets, lengths, deflated.astype(bool), unreadable.astype(np.uint8)
    )
