"""The encoded photos of a dataset, in a few large files with an index: fast to read in any order, by any process.

    photos/00000.bin …       the bytes of the photos, one after another
    photos/index.npy         int64 [N, 3]: shard, offset and length in bytes for every row
    photos/in_place.parquet  with --in-place, instead of both: file, offset, length, deflated for every row; for photos
                             in a zip file also size and crc, which datasets of earlier versions lack

Rows that show the same photo share its bytes.

Shapes: N rows of the dataset, P photos that were written, S shard files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.texts import factorize
from prodrec.core.data.photos.locations import UNKNOWN_SIZE, DamagedPhoto, PhotoLocation, PhotoLocations

if TYPE_CHECKING:
    import polars as pl

SHARD_BYTES = 256 << 20
"""Bytes of a shard file: at 20 kB per photo, ten million photos fill about 750 files."""

MAX_OPEN = 128
"""Shard files that a process keeps open: many systems allow 1,024 open files of all kinds. Opening one takes ten
microseconds."""

MAX_UNUSED = 0.1
"""Share of stored bytes that no row uses, above which the shards are written again."""

LARGEST_NUMBER = 2**62
"""Offsets and lengths are below it, so their sums are 64-bit integers."""

_NO_PROCESS = -1


class PhotoStore:
    """The photos of a dataset by row. A store can be pickled; every process opens its own files at the first read.

    all_jpeg: whether every photo is an upright JPEG, RGB or grey, which the fastest decoder can read
    """

    all_jpeg = True
    _process = _NO_PROCESS  # the process that opened `_files`

    def __init__(self, index_N3: NDArray[np.int64], directory: Path) -> None:
        self._index_N3 = index_N3
        self._directory = directory
        self._files: dict[int, int] = {}  # file descriptors by shard

    @classmethod
    def open(cls, directory: Path, *, in_place: bool) -> PhotoStore:
        """Open the photos in `directory`. Raise BadArtefact if a file is missing or too short for the index."""
        return PhotosInPlace(directory) if in_place else cls._open_shards(directory)

    @classmethod
    def _open_shards(cls, directory: Path) -> PhotoStore:
        path = directory / "index.npy"
        index_N3: NDArray[np.int64] = load_array(path, np.int64, (None, 3), remedy="prepare the dataset again")
        if index_N3.min(initial=0) < 0 or index_N3.max(initial=0) >= LARGEST_NUMBER:
            raise BadArtefact(f"{path} contains numbers that are no place of a photo; prepare the dataset again.")
        last = int(index_N3[:, 0].max(initial=-1))
        if last >= 0 and not (directory / shard_name(last)).is_file():  # before memory is taken for so many shards
            raise BadArtefact(f"{directory / shard_name(last)} does not exist; prepare the dataset again.")
        required_S = np.zeros(last + 1, np.int64)
        np.maximum.at(required_S, index_N3[:, 0], index_N3[:, 1] + index_N3[:, 2])
        for shard, required in enumerate(required_S.tolist()):
            file = directory / shard_name(shard)
            size = file.stat().st_size if file.is_file() else 0
            if size < required:
                raise BadArtefact(f"{file} has {size:,} bytes, expected {required:,}; prepare the dataset again.")
        return cls(index_N3, directory)

    def __len__(self) -> int:
        return len(self._index_N3)

    def location(self, row: int) -> PhotoLocation:
        """Return where the encoded photo of `row` is."""
        shard, offset, length = self._index_N3[row].tolist()
        return PhotoLocation(str(self._directory / shard_name(shard)), offset, length)

    def read(self, row: int) -> bytes:
        """Return the encoded photo of `row`: an upright JPEG, RGB or grey. Raise OSError."""
        shard, offset, length = self._index_N3[row].tolist()
        with self._opened(shard) as file:
            if hasattr(os, "pread"):
                return os.pread(file, length, offset)
            os.lseek(file, offset, os.SEEK_SET)  # Windows
            return os.read(file, length)

    def decode(self, row: int) -> NDArray[np.uint8]:
        """Return the photo of `row`, upright and RGB: uint8 [3, H, W]. Raise BadArtefact."""
        from prodrec.core.data.photos.upright import PhotoRejected, open_upright

        try:
            image, _ = open_upright(self.read(row))
        except (OSError, DamagedPhoto, PhotoRejected) as error:
            raise BadArtefact(f"{self._directory}, photo of row {row}: {error}; prepare the dataset again.") from error
        return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))

    @contextmanager
    def _opened(self, shard: int) -> Iterator[int]:
        """Yield the file descriptor of a shard. The first MAX_OPEN shards that this process reads stay open."""
        if self._process != os.getpid():  # after a fork, the open files belong to the parent
            self._process, self._files = os.getpid(), {}
        file = self._files.get(shard)
        if file is not None:
            yield file
            return
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        file = os.open(self._directory / shard_name(shard), flags)
        if len(self._files) < MAX_OPEN and self._files.setdefault(shard, file) == file:
            yield file
            return
        try:
            yield file
        finally:
            os.close(file)

    def close(self) -> None:
        """Close the files that this process opened."""
        if self._process == os.getpid():
            for file in self._files.values():
                os.close(file)
        self._files = {}

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": _NO_PROCESS, "_files": {}}


class PhotosInPlace(PhotoStore):
    """The photos of a dataset that was prepared with --in-place: the user's own files, or parts of an archive."""

    all_jpeg = False

    def __init__(self, directory: Path) -> None:
        frame = read_parquet(directory / "in_place.parquet")
        self._paths, path_N = factorize(frame["file"])
        index_N3 = np.stack([path_N, frame["offset"].to_numpy(), frame["length"].to_numpy()], axis=1)
        super().__init__(index_N3.astype(np.int64), directory)
        self._deflated_N = frame["deflated"].to_numpy()
        self._sizes_N = self._crcs_N = None
        if "crc" in frame.columns:
            self._sizes_N, self._crcs_N = frame["size"].to_numpy(), frame["crc"].to_numpy()

    def read(self, row: int) -> bytes:
        """Return the encoded photo of `row` in its original format and rotation. Raise OSError or DamagedPhoto."""
        return self.location(row).read()

    def location(self, row: int) -> PhotoLocation:
        """Return where the encoded photo of `row` is."""
        path, offset, length = self._index_N3[row].tolist()
        size, crc = UNKNOWN_SIZE, 0
        if self._sizes_N is not None and self._crcs_N is not None:
            size, crc = int(self._sizes_N[row]), int(self._crcs_N[row])
        return PhotoLocation(self._paths[path], offset, length, bool(self._deflated_N[row]), size, crc)


def shard_name(shard: int) -> str:
    """Return the file name of a shard: 00000.bin, 00001.bin and so on."""
    return f"{shard:05d}.bin"


class ShardWriter:
    """Write photos one after another into files of at most `shard_bytes`. Use it as a context manager.

    A photo that is larger than `shard_bytes` gets a file of its own.
    """

    def __init__(self, directory: Path, *, shard_bytes: int = SHARD_BYTES) -> None:
        self._directory, self._shard_bytes = directory, shard_bytes
        self._stream: IO[bytes] | None = None
        self._shard, self._offset = -1, 0
        self.bytes_written = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def append(self, data: bytes) -> tuple[int, int, int]:
        """Write one photo, and return its shard, offset and length."""
        if self._stream is None or self._offset + len(data) > self._shard_bytes > 0:
            self._close()
            self._shard, self._offset = self._shard + 1, 0
            self._stream = (self._directory / shard_name(self._shard)).open("wb")
        self._stream.write(data)
        entry = (self._shard, self._offset, len(data))
        self._offset += len(data)
        self.bytes_written += len(data)
        return entry

    def _close(self) -> None:
        """Close the current shard, if there is one."""
        if self._stream is not None:
            self._stream.close()


def write_index(directory: Path, index_P3: NDArray[np.int64], photo_N: NDArray[np.int64]) -> int:
    """Write photos/index.npy, and return the number of bytes in all shards.

    index_P3: int64, shard, offset and length of every photo that a ShardWriter wrote into `directory`
    photo_N:  int64, the photo that every row of the dataset shows

    If rows were rejected after their photos were written, and more than MAX_UNUSED of the bytes belong to no row, the
    shards are written again without them.
    """
    files = sorted(directory.glob("*.bin"))
    stored_bytes = sum(file.stat().st_size for file in files)
    used_photos, photo_N = np.unique(photo_N, return_inverse=True)
    index_P3 = index_P3[used_photos]
    if index_P3[:, 2].sum() < (1 - MAX_UNUSED) * stored_bytes:
        index_P3, stored_bytes = _rewrite_shards(directory, files, index_P3)
    np.save(directory / "index.npy", index_P3[photo_N], allow_pickle=False)
    return stored_bytes


def _rewrite_shards(directory: Path, files: list[Path], index_P3: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Write the photos of `index_P3` into new shards and delete the old ones. Return the new index and its bytes."""
    old_directory = directory / "before"
    old_directory.mkdir()
    for file in files:
        file.rename(old_directory / file.name)
    photos = PhotoStore(index_P3, old_directory)
    with ShardWriter(directory) as writer:
        new_index_P3 = np.empty_like(index_P3)
        for photo in range(len(index_P3)):
            new_index_P3[photo] = writer.append(photos.read(photo))
    photos.close()
    shutil.rmtree(old_directory)
    return new_index_P3, writer.bytes_written


def write_in_place(directory: Path, locations: PhotoLocations) -> None:
    """Write photos/in_place.parquet: the location of the photo of every row, with absolute paths."""
    locations.to_polars().write_parquet(directory / "in_place.parquet")


def read_parquet(
    path: Path, *, rows: Sequence[int] | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return a Parquet file of a dataset, or some of its columns, or rows by the column `row`.

    Raise BadArtefact if it is damaged.
    """
    import polars as pl

    try:
        if rows is None:
            return pl.read_parquet(path, columns=None if columns is None else list(columns))
        lazy = pl.scan_parquet(path, glob=False).filter(pl.col("row").is_in(list(rows)))
        return (lazy if columns is None else lazy.select(columns)).collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        found = str(error).splitlines()[0]
        raise BadArtefact(f"{path} cannot be read ({found}); prepare the dataset again.") from error
