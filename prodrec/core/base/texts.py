"""Millions of strings as two flat arrays: the UTF-8 bytes of all of them, and the offset at which each starts.

A list of a million Python strings takes 80 MB and a second to read, and every loader process has a copy. These arrays
are memory-mapped and shared; a text becomes a Python string when it is used.

Shapes: n texts, b bytes of all texts, m texts to look up.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import byte_hashes
from prodrec.core.base.arrays import load_array
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.ranges import concatenated_ranges, offsets_from_lengths, split_into_chunks

if TYPE_CHECKING:
    import polars as pl

COLUMN_ROWS = 2**17
"""Rows of a polars column that are converted at a time."""

COLUMN_BYTES = 2**28
"""Bytes that are converted to a polars column at a time. polars addresses the bytes of a buffer with 32 bits, which
limits a buffer to 4 GiB."""

CHECKED_BYTES = 2**24
"""Bytes that are decoded at a time to check that they are UTF-8."""


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """An immutable sequence of n strings. Text i is `data[offsets[i]:offsets[i + 1]]`, decoded.

    data:    uint8 [b], UTF-8, possibly memory-mapped
    offsets: int64 [n + 1], ascending from 0 to b

    Texts are equal to every list or tuple of the same strings.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    __hash__ = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name, dtype in (("data", np.uint8), ("offsets", np.int64)):
            plain = np.asarray(getattr(self, name), dtype=dtype).view()  # slicing an np.memmap takes 1 µs longer
            plain.flags.writeable = False
            object.__setattr__(self, name, plain)
        if not self.data.ndim == self.offsets.ndim == 1 or not len(self.offsets):
            raise ValueError(f"bytes {self.data.shape} and offsets {self.offsets.shape} are no texts")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.data):
            raise ValueError(f"offsets from {self.offsets[0]} to {self.offsets[-1]} of {len(self.data)} bytes")

    # --- conversion

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> Texts:
        """Return the same strings as Texts. Raise UnicodeEncodeError for half a surrogate pair."""
        if isinstance(strings, Texts):
            return strings
        data, ends = bytearray(), array("q", [0])
        for string in strings:
            data += string.encode()
            ends.append(len(data))
        return cls(np.frombuffer(data, np.uint8), np.frombuffer(ends, np.int64))

    @classmethod
    def from_lengths(cls, data: NDArray[np.uint8], lengths: NDArray[Any]) -> Texts:
        """Return the texts whose bytes follow each other in `data`, with the given lengths in bytes."""
        return cls(data, offsets_from_lengths(lengths))

    @classmethod
    def from_arrays(cls, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Texts:
        """Return the texts in arrays that were read from a file. Raise ValueError if they do not contain texts."""
        if data.dtype != np.uint8 or offsets.dtype != np.int64 or data.ndim != 1 or offsets.ndim != 1:
            raise ValueError(f"it is {data.dtype} and {offsets.dtype}")
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(data) or (offsets[1:] < offsets[:-1]).any():
            raise ValueError("its offsets do not fit its bytes")
        if ((data[offsets[:-1][offsets[:-1] < len(data)]] & 0xC0) == 0x80).any():
            raise ValueError("a text begins inside a character")
        texts = cls(data, offsets)
        for chunk in texts._chunks(CHECKED_BYTES):
            chunk.data.tobytes().decode()
        return texts

    @classmethod
    def from_polars(cls, series: pl.Series) -> Texts:
        """Return the values of a column without nulls."""
        import polars as pl

        assert not series.null_count(), f"{series.name} has nulls"
        chunks, lengths = [], []
        for frame in series.cast(pl.String).to_frame().iter_slices(COLUMN_ROWS):
            column = frame.to_series()
            chunks.append(column.str.join("").item().encode())
            lengths.append(column.str.len_bytes().to_numpy())
        data = np.frombuffer(b"".join(chunks), np.uint8)
        return cls.from_lengths(data, np.concatenate(lengths) if lengths else np.empty(0, np.int64))

    def to_polars(self, name: str = "") -> pl.Series:
        """Return the texts as a column of strings."""
        import polars as pl

        columns = [pl.Series(name, [], dtype=pl.String)]
        for chunk in self._chunks(COLUMN_BYTES):
            # every row refers to the bytes of the whole chunk, and `slice` selects those of its text
            shared = pl.Series([chunk.data.tobytes()], dtype=pl.Binary).new_from_index(0, len(chunk))
            frame = pl.DataFrame({"bytes": shared, "start": chunk.offsets[:-1], "length": chunk.lengths})
            text = pl.col("bytes").bin.slice(pl.col("start"), pl.col("length")).cast(pl.String)
            columns.append(frame.select(text.alias(name)).to_series())
        return pl.concat(columns)

    # --- the sequence

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Texts: ...

    def __getitem__(self, index: int | slice) -> str | Texts:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._slice(start, max(start, stop)) if step == 1 else self.take(range(start, stop, step))
        if not -len(self) <= index < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        index = int(index) % len(self)
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        for chunk in self._chunks(byte_hashes.CHUNK_BYTES):
            data, start = chunk.data.tobytes(), 0
            for end in chunk.offsets[1:].tolist():
                yield data[start:end].decode()
                start = end

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | tuple) and all(isinstance(text, str) for text in other):
            other = Texts.from_strings(other)
        if not isinstance(other, Texts):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.data, other.data)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"Texts({shown}{f', … of {len(self):,}' if len(self) > 3 else ''})"

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and bool(self.find([text])[0] >= 0)

    def index(self, text: str, *_: int) -> int:
        """Return the index of the first text equal to `text`. Raise ValueError if there is none."""
        index = int(self.find([text])[0])
        if index < 0:
            raise ValueError(f"{text!r} is not among {len(self):,} texts")
        return index

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of every text in bytes: int64 [n]."""
        return np.diff(self.offsets)

    def take(self, indices: Iterable[int] | NDArray[Any]) -> Texts:
        """Return a copy of the texts at `indices` (not negative), in that order."""
        indices_m = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), dtype=np.int64)
        starts, lengths = self.offsets[indices_m], self.offsets[indices_m + 1] - self.offsets[indices_m]
        offsets = offsets_from_lengths(lengths)
        data = np.empty(offsets[-1], np.uint8)
        for first, last in split_into_chunks(offsets, byte_hashes.CHUNK_BYTES):
            source = concatenated_ranges(starts[first:last], lengths[first:last])
            data[offsets[first] : offsets[last]] = self.data[source]
        return Texts(data, offsets)

    # --- search and comparison

    def find(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of the first text equal to each of `texts`, or -1 if there is none: int64 [m]."""
        wanted = Texts.from_strings(texts)
        sorted_n, order_n = self._hash_order
        hashes_m = wanted._hashes()
        position_m = np.searchsorted(sorted_n, hashes_m)
        index_m = np.full(len(wanted), -1, dtype=np.int64)
        pending = np.flatnonzero(position_m < len(self))
        while len(pending):
            pending = pending[sorted_n[position_m[pending]] == hashes_m[pending]]
            candidates = order_n[position_m[pending]]
            equal = self.take(candidates).equal_elements(wanted.take(pending))
            index_m[pending[equal]] = candidates[equal]
            position_m[pending] += 1  # the next text may have the same hash
            pending = pending[~equal & (position_m[pending] < len(self))]
        return index_m

    def equal_elements(self, other: Texts) -> NDArray[np.bool_]:
        """Return, for every i, whether text i of both is equal: bool [n]. `other` also has n texts."""
        equal_n: NDArray[np.bool_] = self.lengths == other.lengths
        a, b = (self, other) if equal_n.all() else (texts.take(np.flatnonzero(equal_n)) for texts in (self, other))
        differing = np.searchsorted(a.offsets, np.flatnonzero(a.data != b.data), side="right") - 1
        equal_n[np.flatnonzero(equal_n)[differing]] = False
        return equal_n

    def first_difference(self, other: Texts) -> int | None:
        """Return the first index at which both have a text and the two differ; None if one is a prefix of the other."""
        common = min(len(self), len(other))
        differing = np.flatnonzero(~self[:common].equal_elements(other[:common]))
        return int(differing[0]) if len(differing) else None

    def first_duplicate(self) -> int | None:
        """Return the first index whose text occurs at a smaller index too, or None if all texts are distinct."""
        hashes_n = self._hashes()
        sorted_n = np.sort(hashes_n)
        repeated = sorted_n[1:][sorted_n[1:] == sorted_n[:-1]]
        seen: set[str] = set()
        for index in np.flatnonzero(np.isin(hashes_n, repeated)).tolist() if len(repeated) else ():
            if self[index] in seen:
                return int(index)
            seen.add(self[index])
        return None

    # --- files

    def save(self, path: Path) -> None:
        """Write `path`.npy (the bytes) and `path`.offsets.npy."""
        np.save(Path(f"{path}.npy"), self.data, allow_pickle=False)
        np.save(Path(f"{path}.offsets.npy"), self.offsets, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Texts:
        """Open the files that `save` wrote, memory-mapped. Raise BadArtefact if one is missing or damaged."""
        data, offsets = load_array(Path(f"{path}.npy"), np.uint8), load_array(Path(f"{path}.offsets.npy"), np.int64)
        try:
            return cls.from_arrays(data, offsets)
        except ValueError as error:
            raise BadArtefact(f"{path}.npy contains no texts ({error}); make the artefact again.") from error

    def write_hdf5(self, group: Any, name: str) -> None:
        """Write the datasets `name` (the bytes) and `name`_offsets to a group of an HDF5 file, uncompressed."""
        group[name], group[f"{name}_offsets"] = self.data, self.offsets

    @classmethod
    def read_hdf5(cls, group: Any, name: str) -> Texts:
        """Read the datasets that `write_hdf5` wrote. Raise KeyError if one is missing, ValueError if it is damaged."""
        return cls.from_arrays(group[name][:], group[f"{name}_offsets"][:])

    # --- internals

    @cached_property
    def _hash_order(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The hashes in ascending order, and the index of the text of each; equal hashes by ascending index."""
        hashes_n = self._hashes()
        order_n = np.argsort(hashes_n, kind="stable")
        return hashes_n[order_n], order_n

    def _hashes(self) -> NDArray[np.uint64]:
        return byte_hashes.hash_texts(self.data, self.offsets)

    def _chunks(self, size: int) -> Iterator[Texts]:
        return (self._slice(first, last) for first, last in split_into_chunks(self.offsets, size))

    def _slice(self, first: int, last: int) -> Texts:
        offsets = self.offsets[first : last + 1]
        return Texts(self.data[offsets[0] : offsets[-1]], offsets - offsets[0])


def factorize(values: pl.Series) -> tuple[Texts, NDArray[np.int32]]:
    """Return the distinct values of a column in code point order, and the index of the value of every row.

    The index of a null is -1.
    """
    import polars as pl

    distinct = values.drop_nulls().unique().sort()
    if not len(distinct):
        return Texts.from_strings(()), np.full(len(values), -1, np.int32)
    codes = values.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32).fill_null(-1)
    return Texts.from_polars(distinct), codes.to_numpy()
