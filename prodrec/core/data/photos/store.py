"""Encoded photos in a few large files with an index: fast to read in any order, on any file system, from any process.

    photos/00000.bin …     the bytes of the photos behind each other
    photos/index.npy       int64 [N, 3]: shard, offset, length of every row
    photos/in_place.parquet  instead of both, with --in-place: file, offset, length, deflated of every row

Rows that show the same photo share its bytes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.texts import factorize
from prodrec.core.data.photos.sources import PhotoLocation, PhotoLocations

SHARD_BYTES = 256 << 20


class PhotoStore:
    """The photos of a dataset by row. Picklable; every process opens its own files, at the first read.

    all_jpeg: every photo is an upright JPEG, RGB or grey, so that the fastest decoder will do.
    """

    all_jpeg = True
    _process = -1

    def __init__(self, index_N3: NDArray[np.int64], directory: Path) -> None:
        self._index_N3 = index_N3
        self._directory = directory
        self._files: dict[int, int] = {}

    @classmethod
    def open(cls, directory: Path, *, in_place: bool) -> PhotoStore:
        """The photos in `directory`. Raises BadArtefact where files are missing or shorter than the index says."""
        return PhotosInPlace(directory) if in_place else cls._open_shards(directory)

    @classmethod
    def _open_shards(cls, directory: Path) -> PhotoStore:
        path = directory / "index.npy"
        index: NDArray[np.int64] = load_array(path, np.int64, (None, 3), again="prepare the dataset again")
        if index.min(initial=0) < 0:
            raise BadArtefact(f"{path} names places below 0; prepare the dataset again.")
        needed_S = np.zeros(int(index[:, 0].max(initial=-1)) + 1, np.int64)
        np.maximum.at(needed_S, index[:, 0], index[:, 1] + index[:, 2])
        for shard, needed in enumerate(needed_S.tolist()):
            file = directory / shard_name(shard)
            found = file.stat().st_size if file.is_file() else 0
            if found < needed:
                raise BadArtefact(f"{file} has {found:,} bytes, expected {needed:,}; prepare the dataset again.")
        return cls(index, directory)

    def __len__(self) -> int:
        return len(self._index_N3)

    def read(self, row: int) -> bytes:
        """The encoded photo of `row`, as stored: JPEG, upright, RGB or grey."""
        shard, offset, length = self._index_N3[row].tolist()
        file = self._file(shard)
        if hasattr(os, "pread"):
            return os.pread(file, length, offset)
        os.lseek(file, offset, os.SEEK_SET)  # Windows
        return os.read(file, length)

    def decode(self, row: int) -> NDArray[np.uint8]:
        """The photo of `row` as uint8 [3, H, W], upright, RGB; also for photos left in place. Raises BadArtefact."""
        from prodrec.core.data.photos.examine import UnusablePhoto, open_upright

        try:
            image, _ = open_upright(self.read(row))
        except (OSError, UnusablePhoto) as error:
            raise BadArtefact(f"{self._directory}, photo of row {row}: {error}; prepare the dataset again.") from error
        return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))

    def _file(self, shard: int) -> int:
        if self._process != os.getpid():  # after a fork the parent's files are the parent's to close
            self._process, self._files = os.getpid(), {}
        file = self._files.get(shard)
        if file is None:
            flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
            file = self._files[shard] = os.open(self._directory / shard_name(shard), flags)
        return file

    def close(self) -> None:
        """Close the files that this process opened."""
        if self._process == os.getpid():
            for file in self._files.values():
                os.close(file)
        self._files = {}

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": -1, "_files": {}}


class PhotosInPlace(PhotoStore):
    """Photos left where they are: in files of their own or inside an archive. They are as the shop made them."""

    all_jpeg = False

    def __init__(self, directory: Path) -> None:
        import polars as pl

        path = directory / "in_place.parquet"
        try:
            frame = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadArtefact(f"{path} cannot be read ({error}); prepare the dataset again.") from error
        self._names, numbers = factorize(frame["file"])
        index = np.stack([numbers, frame["offset"].to_numpy(), frame["length"].to_numpy()], axis=1)
        super().__init__(index.astype(np.int64), directory)
        self._deflated_N = frame["deflated"].to_numpy()

    def read(self, row: int) -> bytes:
        """The encoded photo of `row`, as it was found: any format, not always upright."""
        number, offset, length = self._index_N3[row].tolist()
        return PhotoLocation(self._names[number], offset, length, bool(self._deflated_N[row])).read()


def shard_name(shard: int) -> str:
    """00000.bin and so on."""
    return f"{shard:05d}.bin"


class ShardWriter:
    """Writes photos behind each other into shards of about 256 MiB; use as a context manager."""

    def __init__(self, directory: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._directory, self._shard_bytes = directory, shard_bytes
        self._stream: IO[bytes] | None = None
        self._shard, self._offset = -1, 0
        self.bytes = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def append(self, data: bytes) -> tuple[int, int, int]:
        """Write one photo; gives its (shard, offset, length)."""
        if self._stream is None or self._offset + len(data) > self._shard_bytes > 0:
            self.__exit__()
            self._shard, self._offset = self._shard + 1, 0
            self._stream = (self._directory / shard_name(self._shard)).open("wb")
        self._stream.write(data)
        place = (self._shard, self._offset, len(data))
        self._offset += len(data)
        self.bytes += len(data)
        return place


def write_index(directory: Path, places_P3: NDArray[np.int64], photo_N: NDArray[np.int64]) -> int:
    """Write photos/index.npy: shard, offset, length of the photo of every row; gives the bytes of all shards.

    places_P3: int64 [P, 3], where the photos that were written stand; photo_N: which of them every row shows

    Where rows that were dropped later leave more than a tenth of the bytes unused, the shards are written again.
    """
    files = sorted(directory.glob("*.bin"))
    stored = sum(file.stat().st_size for file in files)
    used, photo_N = np.unique(photo_N, return_inverse=True)
    places_P3 = places_P3[used]
    if places_P3[:, 2].sum() < 0.9 * stored:
        before = directory / "before"
        before.mkdir()
        for file in files:
            file.rename(before / file.name)
        photos = PhotoStore(places_P3, before)
        with ShardWriter(directory) as writer:
            places_P3 = np.empty_like(places_P3)
            for photo in range(len(places_P3)):
                places_P3[photo] = writer.append(photos.read(photo))
        stored = writer.bytes
        photos.close()
        shutil.rmtree(before)
    np.save(directory / "index.npy", places_P3[photo_N], allow_pickle=False)
    return stored


def write_in_place(directory: Path, places: PhotoLocations) -> None:
    """Write photos/in_place.parquet: one row for every row of the dataset, files as absolute paths."""
    places.frame().write_parquet(directory / "in_place.parquet")
