"""List the photos of a source for some seconds only, for a preview. Photos that were not reached are looked up by name.

Nothing is decoded, and of a compressed tar no more is unpacked than these seconds allow.
"""

from __future__ import annotations

import os
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from prodrec.core.data.photos.listing import READABLE, Member, folder_members, tar_members
from prodrec.core.data.photos.locations import WHOLE_FILE
from prodrec.core.data.photos.name_keys import base_name, table_keys
from prodrec.core.data.photos.sources import (
    PhotoSource,
    decompressed_chunks,
    is_compressed,
    not_an_archive,
    open_photos,
    sorted_source,
)

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


@dataclass(frozen=True)
class PartialListing:
    """The photos that were reached. If `is_complete` is False, the source may contain others."""

    source: PhotoSource
    is_complete: bool


class _TimeLimit:
    """A number of seconds from now on. `reached` is set once an iterable was cut short."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.reached = False

    def cut(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items until the end of the time, the first one in any case."""
        for item in items:
            yield item
            if time.monotonic() > self.end:
                self.reached = True
                return


def list_for(seconds: float, path: Path, *, scratch: Path | None) -> PartialListing:
    """List the photos of a folder or a tar file for some seconds; a zip file, whose list is short, as a whole.

    scratch: a directory for what is unpacked of a compressed tar; None refuses one, as `open_photos` does

    Raise NotFound or BadOption as `open_photos`.
    """
    limit = _TimeLimit(seconds)
    if path.is_dir():
        return PartialListing(sorted_source(path, None, limit.cut(folder_members(path))), not limit.reached)
    if scratch is None or not path.exists() or zipfile.is_zipfile(path):
        return PartialListing(open_photos(path, unpack_into=None), is_complete=True)
    archive = path
    if is_compressed(path):
        archive = scratch / "photos.tar"
        with archive.open("wb") as unpacked:
            for data in limit.cut(decompressed_chunks(path)):
                unpacked.write(data)
        limit.end = time.monotonic() + seconds
    source = sorted_source(path, archive, _members_of_tar(archive, path, limit))
    return PartialListing(source, not limit.reached)


def _members_of_tar(archive: Path, path: Path, limit: _TimeLimit) -> Iterator[Member]:
    """Yield the files of a tar, and its hard links with the place of the file that they link to.

    If the end of the time has cut `archive` short, its unexpected end is no error.
    """
    hard_links: dict[str, str] = {}
    places: dict[str, Member] = {}
    is_cut = limit.reached
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in limit.cut(tar_members(tar, hard_links)):
                places[member[0]] = member
                yield member
    except (tarfile.TarError, EOFError) as error:
        if not is_cut:
            raise not_an_archive(path, error) from error
    for name, target in hard_links.items():
        _, *place = places.get(target, ("", 0, 0, False, READABLE))
        yield (name, *place)  # type: ignore[misc]  # mypy knows no length of `place`


def named_photos(path: Path, names: Iterable[str]) -> PhotoSource:
    """Return a source that lists `names`, whose bytes are never read."""
    return sorted_source(path, None, ((name, 0, WHOLE_FILE, False, READABLE) for name in names))


def list_for_names(seconds: float, path: Path, names: pl.Series, *, scratch: Path | None) -> PartialListing:
    """List the photos of a source for some seconds, so that `names` find theirs.

    In a folder, every name is looked up unchanged, without query and host, and by its base name, before anything
    is listed: if all photos are there, nothing else is needed. Otherwise those that are there are added to what is
    listed. Each takes no more than these seconds.

    Raise NotFound or BadOption as `open_photos`.
    """
    import polars as pl

    if not path.is_dir():
        return list_for(seconds, path, scratch=scratch)
    keys = table_keys(pl.DataFrame({"name": names.drop_nulls()}), path).unique("full", maintain_order=True)
    candidates = keys.select("full", "path", base_name("path").alias("base")).iter_rows()
    found = [next(filter(_is_photo_of(path), row), None) for row in _TimeLimit(seconds).cut(candidates)]
    existing = dict.fromkeys(name for name in found if name is not None)
    if len(found) == keys.height and None not in found:
        return PartialListing(named_photos(path, existing), is_complete=False)
    listing = list_for(seconds, path, scratch=scratch)
    return listing if listing.is_complete else PartialListing(_with_names(listing.source, existing), is_complete=False)


def _is_photo_of(folder: Path) -> Callable[[str], bool]:
    """Return a function that returns whether a name is a file below `folder`."""

    def is_photo(name: str) -> bool:
        return ".." not in PurePosixPath(name).parts and os.path.isfile(os.path.join(folder, name))  # noqa: PTH113, PTH118 - runs for every name

    return is_photo


def _with_names(source: PhotoSource, names: Iterable[str]) -> PhotoSource:
    """Return a source of files that also lists `names`."""
    arrays = (source.offsets_P, source.lengths_P, source.deflated_P, source.unreadable_P)
    members = zip(source.names_P, *(array.tolist() for array in arrays), strict=True)
    return sorted_source(source.path, None, chain(members, ((name, 0, WHOLE_FILE, False, READABLE) for name in names)))
