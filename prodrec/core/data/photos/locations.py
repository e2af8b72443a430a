"""Where the bytes of photos are: files of their own, or parts of an archive.

Shapes: p photos.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import Texts

if TYPE_CHECKING:
    import polars as pl

WHOLE_FILE = -1
"""The length of a photo that is a file of its own."""

UNKNOWN_SIZE = -1
"""The size of a photo whose size and checksum are not recorded, such as a file of its own."""

MAX_INFLATED_BYTES = 1 << 28
"""Bytes that one deflated photo may have: 89 million uncompressed RGB pixels. Every decoding process may need as many,
and deflate can pack a thousand times as many bytes as it takes."""


MAX_BYTES = 1 << 30
"""Bytes of a photo that is read: more than 100 million pixels of four colours with 16 bits take without compression."""


class DamagedPhoto(ValueError):
    """Raised if an archive does not contain the bytes of a photo that it declares. The message is the reason."""


@dataclass(frozen=True)
class PhotoLocation:
    """Where one encoded photo is: `length` bytes of the file `path` from `offset` on, or the whole file.

    deflated: whether these bytes are compressed as in a zip file
    size:     bytes of the photo after inflating; UNKNOWN_SIZE if neither size nor checksum is recorded
    crc:      CRC-32 of these bytes
    """

    path: str
    offset: int = 0
    length: int = WHOLE_FILE
    deflated: bool = False
    size: int = UNKNOWN_SIZE
    crc: int = 0

    def read(self) -> bytes:
        """Return the bytes of the photo. Raise OSError, or DamagedPhoto if the archive contains other bytes."""
        with open(self.path, "rb") as stream:  # noqa: PTH123 - half the cost of Path.open, and this runs for every photo
            length = os.fstat(stream.fileno()).st_size if self.length == WHOLE_FILE else self.length
            if length > MAX_BYTES:
                raise DamagedPhoto(f"it has {length:,} bytes, and a photo may have {MAX_BYTES:,}")
            stream.seek(self.offset)
            data = stream.read(self.length)
        if self.deflated:
            data = _inflate(data, self.size)
        if self.size != UNKNOWN_SIZE and (len(data) != self.size or zlib.crc32(data) != self.crc):
            raise DamagedPhoto("its bytes do not match the checksum of the zip file")
        return data

    def read_start(self, count: int) -> bytes:
        """Return the first `count` bytes of the photo, or fewer; none if they cannot be inflated. Raise OSError."""
        with open(self.path, "rb") as stream:  # noqa: PTH123 - see read
            stream.seek(self.offset)
            # deflate stores what it cannot compress, with a header of 5 bytes; block descriptions have up to 320 bytes
            packed = count + 1024 if self.deflated else count
            data = stream.read(packed if self.length == WHOLE_FILE else min(packed, self.length))
        if not self.deflated:
            return data
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, count)
        except zlib.error:
            return b""


def _inflate(data: bytes, size: int) -> bytes:
    """Inflate a zip member of `size` bytes, or of UNKNOWN_SIZE. Raise DamagedPhoto, before using much more memory."""
    if size > MAX_INFLATED_BYTES:
        raise DamagedPhoto(
            f"it inflates to {size:,} bytes, and a compressed photo may have {MAX_INFLATED_BYTES:,}; unpack the zip "
            "file and give its folder"
        )
    limit = MAX_INFLATED_BYTES if size == UNKNOWN_SIZE else size
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, limit + 1)  # one more shows that the declared size is wrong; 0 is no limit
    except zlib.error as error:
        raise DamagedPhoto(f"it cannot be inflated: {error}") from error
    if len(inflated) > limit:
        source = "that a compressed photo may have" if size == UNKNOWN_SIZE else "that the zip file declares"
        raise DamagedPhoto(f"it inflates to more than the {limit:,} bytes {source}")
    if not inflater.eof:
        raise DamagedPhoto("it cannot be inflated: its compressed bytes are incomplete")
    return inflated


@dataclass(frozen=True, eq=False)
class PhotoLocations:
    """Where p photos are, in a compact form that can be sent to another process.

    path:       absolute path of the folder or of the archive
    names_p:    names of the files inside the folder; None for an archive
    offsets_p, lengths_p, deflated_p: int64, int64 and bool, the parts of the archive; not used for a folder
    sizes_p, crcs_p: int64, size and CRC-32 of the inflated photos; None for a folder or an archive without checksums
    """

    path: str
    names_p: Texts | None
    offsets_p: NDArray[np.int64]
    lengths_p: NDArray[np.int64]
    deflated_p: NDArray[np.bool_]
    sizes_p: NDArray[np.int64] | None = None
    crcs_p: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.offsets_p)

    def __iter__(self) -> Iterator[PhotoLocation]:
        if self.names_p is not None:
            return (PhotoLocation(os.path.join(self.path, name)) for name in self.names_p)  # noqa: PTH118 - see PhotoLocation.read
        columns = [self.offsets_p, self.lengths_p, self.deflated_p]
        columns += [] if self.sizes_p is None or self.crcs_p is None else [self.sizes_p, self.crcs_p]
        parts = zip(*(column.tolist() for column in columns), strict=True)
        return (PhotoLocation(self.path, *part) for part in parts)

    def to_polars(self) -> pl.DataFrame:
        """Return a table with the columns file, offset, length and deflated; with checksums also size and crc."""
        import polars as pl

        if self.names_p is None:
            file = pl.repeat(self.path, len(self), dtype=pl.String, eager=True)
        else:
            file = pl.select(pl.lit(os.path.join(self.path, "")) + self.names_p.to_polars()).to_series()  # noqa: PTH118
        columns = {"offset": self.offsets_p, "length": self.lengths_p, "deflated": self.deflated_p}
        if self.sizes_p is not None and self.crcs_p is not None:
            columns |= {"size": self.sizes_p, "crc": self.crcs_p}
        return pl.DataFrame([file.alias("file"), *(pl.Series(name, column) for name, column in columns.items())])
