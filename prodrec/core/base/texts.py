"""A million names as two flat arrays: their UTF-8 bytes behind each other, and where each begins.

A list of a million Python strings takes 80 MB and a second to read, and grows in every loader process; these arrays are
memory-mapped and shared, and a name becomes a Python string when somebody looks at it.

Shapes: n texts, b bytes of all texts together, m texts that are looked for.
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

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """n texts that do not change; text i is `data[offsets[i]:offsets[i + 1]]`, decoded.

    data:    uint8 [b], UTF-8, possibly memory-mapped
    offsets: int64 [n + 1], starts with 0, never decreases, ends with b
    Equal to every sequence of the same strings.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    __hash__ = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name, kind in (("data", np.uint8), ("offsets", np.int64)):
            plain = np.asarray(getattr(self, name), dtype=kind).view()  # np.memmap costs a microsecond a slice
            plain.flags.writeable = False
            object.__setattr__(self, name, plain)
        assert self.data.ndim == self.offsets.ndim == 1 and len(self.offsets) >= 1
        assert self.offsets[0] == 0 and self.offsets[-1] == len(self.data)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """The same texts in the same order. Raises UnicodeEncodeError for half a surrogate pair."""
        if isinstance(texts, Texts):
            return texts
        data, ends = bytearray(), array("q", [0])
        for text in texts:
            data += text.encode()
            ends.append(len(data))
        return cls(np.frombuffer(data, np.uint8), np.frombuffer(ends, np.int64))

    @classmethod
    def from_lengths(cls, data: NDArray[np.uint8], lengths: NDArray[Any]) -> Texts:
        """Bytes that stand behind each other already, and the length of every text in bytes."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(data, offsets)

    @classmethod
    def from_polars(cls, series: pl.Series) -> Texts:
        """The texts of a column without nulls."""
        import polars as pl

        assert not series.null_count(), f"{series.name} has nulls"
        pieces, lengths = [], []
        for piece in series.cast(pl.String).to_frame().iter_slices(2**17):
            column = piece.to_series()
            pieces.append(column.str.join("").item().encode())
            lengths.append(column.str.len_bytes().to_numpy())
        data = np.frombuffer(b"".join(pieces), np.uint8)
        return cls.from_lengths(data, np.concatenate(lengths) if lengths else np.empty(0, np.int64))

    def to_polars(self, name: str = "") -> pl.Series:
        """A column of these texts."""
        import polars as pl

        columns = [pl.Series(name, [], dtype=pl.String)]
        for piece in self._pieces(2**28):  # one buffer of a column addresses less than 4 GiB
            shared = pl.Series([piece.data.tobytes()], dtype=pl.Binary).new_from_index(0, len(piece))
            places = pl.DataFrame({"bytes": shared, "start": piece.offsets[:-1], "length": piece.lengths})
            cut = pl.col("bytes").bin.slice(pl.col("start"), pl.col("length"))
            columns.append(places.select(cut.cast(pl.String).alias(name)).to_series())
        return pl.concat(columns)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, which: int) -> str: ...

    @overload
    def __getitem__(self, which: slice) -> Texts: ...

    def __getitem__(self, which: int | slice) -> str | Texts:
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            return self._between(start, max(start, stop)) if step == 1 else self.take(range(start, stop, step))
        if not -len(self) <= which < len(self):
            raise IndexError(f"text {which} of {len(self)}")
        which = int(which) % len(self)
        return self.data[self.offsets[which] : self.offsets[which + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces(byte_hashes.PIECE):
            raw, start = piece.data.tobytes(), 0
            for end in piece.offsets[1:].tolist():
                yield raw[start:end].decode()
                start = end

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | tuple) and all(isinstance(text, str) for text in other):
            other = Texts.of(other)
        if not isinstance(other, Texts):
            return NotImplemented
        return np.array_equal(self.offsets, other.offsets) and np.array_equal(self.data, other.data)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"Texts({shown}{f', … of {len(self):,}' if len(self) > 3 else ''})"

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and bool(self.find([text])[0] >= 0)

    def index(self, text: str, *_: int) -> int:
        """The place of the first such text. Raises ValueError."""
        place = int(self.find([text])[0])
        if place < 0:
            raise ValueError(f"{text!r} is not among {len(self):,} texts")
        return place

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [n], the bytes of every text."""
        return np.diff(self.offsets)

    def take(self, which: Iterable[int] | NDArray[Any]) -> Texts:
        """The texts `which` (from 0 on), in that order."""
        rows = np.asarray(which if isinstance(which, np.ndarray) else list(which), dtype=np.int64)
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        data = np.empty(int(np.cumsum(lengths, out=offsets[1:])[-1]) if len(rows) else 0, np.uint8)
        for first, last in byte_hashes.cuts(offsets, byte_hashes.PIECE):
            at, to = int(offsets[first]), int(offsets[last])
            shift = np.repeat(starts[first:last] - offsets[first:last], lengths[first:last])
            data[at:to] = self.data[np.arange(at, to, dtype=np.int64) + shift]
        return Texts(data, offsets)

    def find(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The place of every one of `texts`, the first where it repeats, -1 where it is not here: int64 [m]."""
        wanted = Texts.of(texts)
        sorted_n, order_n = self._by_hash
        hashes_m = wanted._hashes()
        at_m = np.searchsorted(sorted_n, hashes_m)
        found_m = np.full(len(wanted), -1, dtype=np.int64)
        open_ = np.flatnonzero(at_m < len(self))
        while len(open_):
            open_ = open_[sorted_n[at_m[open_]] == hashes_m[open_]]
            places = order_n[at_m[open_]]
            same = self.take(places).same(wanted.take(open_))
            found_m[open_[same]] = places[same]
            at_m[open_] += 1  # another text with the same hash
            open_ = open_[~same & (at_m[open_] < len(self))]
        return found_m

    def like(self, text: str, count: int = 200) -> list[str]:
        """The `count` texts that share most pairs of neighbouring bytes with `text` for their length, best first.

        To look for the nearest of a million names among them: `errors.nearest` takes a minute for a million.
        """
        lower = np.arange(256, dtype=np.uint16)
        lower[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
        own = lower[np.frombuffer(text.encode(), np.uint8)]
        wanted = np.zeros(2**16, dtype=bool)
        wanted[own[:-1] * 256 + own[1:]] = True
        shared_n = np.zeros(len(self), dtype=np.int64)
        for (first, last), piece in zip(byte_hashes.cuts(self.offsets, 2**20), self._pieces(2**20), strict=True):
            codes = lower[piece.data]
            found = np.zeros(len(codes) + 1, dtype=np.int64)
            np.cumsum(wanted[codes[:-1] * 256 + codes[1:]], out=found[1 : len(codes)])
            ends = np.maximum(piece.offsets[1:] - 1, piece.offsets[:-1])
            shared_n[first:last] = found[ends] - found[piece.offsets[:-1]]
        best = np.argsort(-shared_n / (self.lengths + len(own) + 1), kind="stable")[:count]
        return list(self.take(best))

    def same(self, other: Texts) -> NDArray[np.bool_]:
        """Where the two, of one length, have the same text: bool [n]."""
        same_n: NDArray[np.bool_] = self.lengths == other.lengths
        here, there = (self, other) if same_n.all() else (texts.take(np.flatnonzero(same_n)) for texts in (self, other))
        differing = np.searchsorted(here.offsets, np.flatnonzero(here.data != there.data), side="right") - 1
        same_n[np.flatnonzero(same_n)[differing]] = False
        return same_n

    def first_difference(self, other: Texts) -> int | None:
        """The first place where both have a text, and not the same; None where one is the beginning of the other."""
        common = min(len(self), len(other))
        differing = np.flatnonzero(~self[:common].same(other[:common]))
        return int(differing[0]) if len(differing) else None

    def first_repeated(self) -> int | None:
        """The first place whose text stood before, or None where all are distinct."""
        hashes_n = self._hashes()
        sorted_n = np.sort(hashes_n)
        twice = sorted_n[1:][sorted_n[1:] == sorted_n[:-1]]
        seen: set[str] = set()
        for place in np.flatnonzero(np.isin(hashes_n, twice)).tolist() if len(twice) else ():
            if self[place] in seen:
                return int(place)
            seen.add(self[place])
        return None

    def save(self, path: Path) -> None:
        """Write `path`.npy (the bytes) and `path`.offsets.npy."""
        np.save(Path(f"{path}.npy"), self.data, allow_pickle=False)
        np.save(Path(f"{path}.offsets.npy"), self.offsets, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Texts:
        """Open what `save` wrote, memory-mapped. Raises BadArtefact where it is damaged."""
        data, offsets = load_array(Path(f"{path}.npy"), np.uint8), load_array(Path(f"{path}.offsets.npy"), np.int64)
        try:
            return cls.checked(data, offsets)
        except ValueError as error:
            raise BadArtefact(f"{path}.npy holds no texts ({error}); make what it belongs to again.") from error

    def write_hdf5(self, group: Any, name: str) -> None:
        """Write the datasets `name` (the bytes) and `name`_offsets to a group of an HDF5 file, uncompressed."""
        group[name], group[f"{name}_offsets"] = self.data, self.offsets

    @classmethod
    def read_hdf5(cls, group: Any, name: str) -> Texts:
        """Read what `write_hdf5` wrote. Raises KeyError where it is missing, ValueError where it is damaged."""
        return cls.checked(group[name][:], group[f"{name}_offsets"][:])

    @classmethod
    def checked(cls, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Texts:
        """Texts of arrays that somebody else wrote. Raises ValueError where they are no texts."""
        if data.dtype != np.uint8 or offsets.dtype != np.int64 or data.ndim != 1 or offsets.ndim != 1:
            raise ValueError(f"it is {data.dtype} and {offsets.dtype}")
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(data) or (offsets[1:] < offsets[:-1]).any():
            raise ValueError("its offsets do not fit its bytes")
        if ((data[offsets[:-1][offsets[:-1] < len(data)]] & 0xC0) == 0x80).any():
            raise ValueError("a text begins inside a character")
        texts = cls(data, offsets)
        for piece in texts._pieces(2**24):
            piece.data.tobytes().decode()
        return texts

    @cached_property
    def _by_hash(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Hashes in rising order, and the places of their texts, first places first."""
        hashes_n = self._hashes()
        order_n = np.argsort(hashes_n, kind="stable")
        return hashes_n[order_n], order_n

    def _hashes(self) -> NDArray[np.uint64]:
        return byte_hashes.hashes_of(self.data, self.offsets)

    def _pieces(self, size: int) -> Iterator[Texts]:
        return (self._between(first, last) for first, last in byte_hashes.cuts(self.offsets, size))

    def _between(self, first: int, last: int) -> Texts:
        offsets = self.offsets[first : last + 1]
        return Texts(self.data[offsets[0] : offsets[-1]], offsets - offsets[0])


def factorize(values: pl.Series) -> tuple[Texts, NDArray[np.int32]]:
    """Return the distinct values in code point order, and for every row the index of its value, or -1 for null."""
    import polars as pl

    distinct = values.drop_nulls().unique().sort()
    if not len(distinct):
        return Texts.of(()), np.full(len(values), -1, np.int32)
    codes = values.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32).fill_null(-1)
    return Texts.from_polars(distinct), codes.to_numpy()
