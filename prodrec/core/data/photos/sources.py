"""The user's photos, in a folder, a tar or a zip file, as one list of names and locations.

Ten million photos are listed without a Python object for each: names are Texts, and locations are arrays.

Shapes: P photos of a source, p some of them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, NotFound
from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.listing import Member, ZipMember, folder_members, tar_members, zip_members
from prodrec.core.data.photos.locations import PhotoLocations
from prodrec.core.data.photos.zip_names import UnflaggedNames

_DECOMPRESSORS: dict[bytes, Callable[[Path], Any]] = {  # by the first bytes of the file
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}

_OTHER_ARCHIVES = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "Zstandard"}
"""Archives that are not read, by their first bytes."""

_UNPACKED_BYTES = 1 << 20

NOT_UTF8, REPLACED = "its name is not UTF-8", "a later file of the archive has the same name"
"""Why a file is not listed."""


@dataclass(frozen=True, eq=False)
class PhotoSource:
    """P photos in order of their names.

    path:         the folder or archive that was listed
    archive:      absolute path of the archive, unpacked if it was compressed; None for a folder
    names_P:      names with `/` between folders
    offsets_P, lengths_P, deflated_P: int64, int64 and bool, the parts of the archive; 0, -1 and False for a folder
    unreadable_P: uint8, the index in UNREADABLE_REASONS of why a photo cannot be read; 0 for a readable photo
    sizes_P, crcs_P: int64, size and CRC-32 of the inflated photos; None if the source is no zip file
    unflagged:    the names of a zip file that have no stated encoding; None if there are none
    not_listed:   names of files that cannot be listed, by reason
    """

    path: Path
    archive: str | None
    names_P: Texts
    offsets_P: NDArray[np.int64]
    lengths_P: NDArray[np.int64]
    deflated_P: NDArray[np.bool_]
    unreadable_P: NDArray[np.uint8]
    sizes_P: NDArray[np.int64] | None = None
    crcs_P: NDArray[np.int64] | None = None
    unflagged: UnflaggedNames | None = None
    not_listed: dict[str, Texts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names_P)

    def locations(self, photo_p: NDArray[np.int64]) -> PhotoLocations:
        """Return the locations of the photos at positions `photo_p`."""
        path = os.path.abspath(self.archive or self.path)  # noqa: PTH100 - resolves no links: they may be replaced
        names_p = self.names_P.take(photo_p) if self.archive is None else None
        parts = (self.offsets_P[photo_p], self.lengths_P[photo_p], self.deflated_P[photo_p])
        if self.sizes_P is None or self.crcs_P is None:
            return PhotoLocations(path, names_p, *parts)
        return PhotoLocations(path, names_p, *parts, self.sizes_P[photo_p], self.crcs_P[photo_p])

    def decode_names(self, encoding: str) -> PhotoSource:
        """Return the same photos, with names that have no stated encoding read in `encoding`. Order is kept."""
        if self.unflagged is None:
            return self
        return replace(self, names_P=self.unflagged.decode(self.names_P, encoding))


def open_photos(path: Path, *, unpack_into: Path | None) -> PhotoSource:
    """List the photos of a folder, a tar or a zip file. Unpack a compressed tar to a file in `unpack_into` first.

    Raise NotFound; BadOption for any other file, or for a compressed tar if `unpack_into` is None.
    """
    if not path.exists():
        raise NotFound(f"--images {path} does not exist; expected a folder, a tar or a zip file of photos.")
    if path.is_dir():
        return sorted_source(path, None, folder_members(path))
    if zipfile.is_zipfile(path):
        return _open_zip(path)
    return _open_tar(_uncompressed(path, unpack_into), path)


def _uncompressed(path: Path, unpack_into: Path | None) -> Path:
    """Return `path`, or if it is compressed, the file in `unpack_into` that it is unpacked to."""
    if not is_compressed(path):
        return path
    if unpack_into is None:
        raise BadOption(f"--in-place cannot use the compressed {path}: unpack it, or omit --in-place.")
    archive = unpack_into / "photos.tar"
    with archive.open("wb") as unpacked:
        for data in decompressed_chunks(path):
            unpacked.write(data)
    return archive


def is_compressed(path: Path) -> bool:
    """Return whether a file begins as one that `decompressed_chunks` reads."""
    return _decompressor(path) is not None


def _decompressor(path: Path) -> Callable[[Path], Any] | None:
    with path.open("rb") as stream:
        start = stream.read(6)
    return next((opener for magic, opener in _DECOMPRESSORS.items() if start.startswith(magic)), None)


def decompressed_chunks(path: Path) -> Iterator[bytes]:
    """Yield the contents of a compressed file. Raise BadOption if it is broken."""
    decompress = _decompressor(path)
    assert decompress is not None
    try:
        with decompress(path) as packed:
            while data := packed.read(_UNPACKED_BYTES):
                yield data
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BadOption(f"--images {path} cannot be unpacked ({error}); it is broken or truncated.") from error


def _open_zip(path: Path) -> PhotoSource:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise BadOption(f"--images {path} is not a readable zip file ({error}).") from error
    with archive, path.open("rb") as stream:
        source = sorted_source(path, path, zip_members(archive, stream))
    return source if source.unflagged is None else source.decode_names(source.unflagged.choose_encoding())


def not_an_archive(path: Path, error: Exception) -> BadOption:
    """Return the error to raise for a file that is no readable archive."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start.startswith(b"PK\3\4"):
        return BadOption(
            f"--images {path} is a zip file whose end is missing; it is truncated: copy or fetch it again."
        )
    kind = next((name for magic, name in _OTHER_ARCHIVES.items() if start.startswith(magic)), None)
    if kind is not None:
        return BadOption(f"--images {path} is a {kind} archive, which is not read; unpack it and give its folder.")
    return BadOption(f"--images {path} is neither a folder nor a readable tar or zip file ({error}).")


def _open_tar(archive: Path, path: Path) -> PhotoSource:
    """List an uncompressed tar. Messages name `path`, the file that `archive` was unpacked from."""
    hard_links: dict[str, str] = {}
    try:
        with tarfile.open(archive, "r:") as tar:
            files = sorted_source(archive, archive, tar_members(tar, hard_links))
    except (tarfile.TarError, EOFError) as error:
        raise not_an_archive(path, error) from error
    if not hard_links:
        return files
    arrays = (files.offsets_P, files.lengths_P, files.deflated_P, files.unreadable_P)
    entries = zip(files.names_P, *(array.tolist() for array in arrays), strict=True)
    targets = files.names_P.find(list(hard_links.values())).tolist()
    links = (
        (name, *(int(array[target]) for array in arrays))
        for name, target in zip(hard_links, targets, strict=True)
        if target >= 0
    )
    linked = sorted_source(archive, archive, chain(entries, links))  # type: ignore[arg-type]  # of the length of Member
    not_listed = dict(files.not_listed)
    for reason, names in linked.not_listed.items():  # a link with the name of another file
        not_listed[reason] = Texts.from_strings([*not_listed.get(reason, ()), *names])
    return replace(linked, not_listed=not_listed)


def sorted_source(path: Path, archive: Path | None, members: Iterable[Member | ZipMember]) -> PhotoSource:
    """Return the members in order of their names. If a name occurs several times, only its last member is listed."""
    numbers = array("q")  # those of all members, in the order of Member or ZipMember
    bad_names: list[str] = []

    def names() -> Iterator[str]:
        """Yield the names; collect the numbers beside them, since members can be iterated only once."""
        for name, *member_numbers in members:
            try:
                name.encode()
            except UnicodeEncodeError:
                bad_names.append(name.encode("utf-8", "backslashreplace").decode())
            else:
                numbers.extend(member_numbers)
                yield name

    listed = Texts.from_strings(names())
    if bad_names:
        console.warn(
            f"{len(bad_names):,} files in {path} are skipped, such as {bad_names[0]}: their names are not UTF-8, so no "
            "table can name them."
        )
    order = listed.to_polars().arg_sort().to_numpy()
    sorted_names, is_first = listed.take(order), np.ones(len(order), bool)
    is_first[1:] = ~sorted_names[1:].equal_elements(sorted_names[:-1])
    kept = np.maximum.reduceat(order, np.flatnonzero(is_first)) if len(order) else order  # the last of equal names
    del sorted_names
    not_listed = {NOT_UTF8: Texts.from_strings(bad_names)} if bad_names else {}
    if len(kept) < len(order):
        not_listed[REPLACED] = listed.take(np.setdiff1d(order, kept))
    columns = (
        np.array(numbers, np.int64).reshape(len(listed), -1)[kept].T if len(listed) else np.empty((4, 0), np.int64)
    )
    offsets, lengths, deflated, unreadable, *of_zip = columns
    source = PhotoSource(
        path,
        None if archive is None else os.path.abspath(archive),  # noqa: PTH100 - see PhotoSource.locations
        listed.take(kept),
        offsets,
        lengths,
        deflated.astype(bool),
        unreadable.astype(np.uint8),
        not_listed=not_listed,
    )
    if not of_zip:
        return source
    sizes, crcs, is_unflagged = of_zip
    photo_U = np.flatnonzero(is_unflagged)
    unflagged = UnflaggedNames(photo_U, source.names_P.take(photo_U)) if len(photo_U) else None
    return replace(source, sizes_P=sizes, crcs_P=crcs, unflagged=unflagged)
