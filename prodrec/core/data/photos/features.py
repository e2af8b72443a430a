"""Feature vectors in place of photos: rows of a .npy or .h5 file, one for every row of the tables, kept as float16.

Shapes: M rows of all tables, R some of them (int64, ascending), D numbers in a vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.artefact import Fingerprint
from prodrec.core.base.errors import BadFeatures, NotFound
from prodrec.core.data.duplicates import groups as duplicates

if TYPE_CHECKING:
    import polars as pl

    from prodrec.core.data.tables.catalogue import Catalogue

FILE = Path("arrays") / "features.npy"

_KINDS = ("float16", "float32")
_BYTES_AT_ONCE = 32 << 20
_EXPECTED = "expected [rows, numbers] of float16 or float32, a .npy file or an .h5 file with a dataset `features`"


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """The vectors as the user has them, M of them; opened for each reading, and read in pieces."""

    path: Path
    rows: int
    width: int

    def pieces(self, rows_R: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """The vectors of `rows_R` as float16 [some, D], with their rows, piece by piece."""
        at_once = max(1, _BYTES_AT_ONCE // (4 * self.width))
        for start in range(0, self.rows, at_once):
            first, last = np.searchsorted(rows_R, [start, start + at_once])
            if first == last:
                continue
            some = rows_R[first:last]
            with _opened(self.path) as vectors_MD, np.errstate(over="ignore"):  # told by who checks
                block = np.asarray(vectors_MD[some[0] : some[-1] + 1])[some - some[0]].astype(np.float16)
            del vectors_MD  # a mapped page counts as memory of this process until the file is closed
            yield some, block


def open_features(path: Path, *, rows: int, tables: str) -> FeatureFile:
    """The vectors in `path` of a catalogue of `rows` rows in `tables`. Raises NotFound or BadFeatures."""
    if not path.exists():
        raise NotFound(f"--features {path} does not exist; {_EXPECTED}.")
    with _opened(path) as vectors_MD:
        shape, kind = tuple(vectors_MD.shape), str(vectors_MD.dtype)
    if len(shape) != 2 or 0 in shape[1:] or kind not in _KINDS:
        raise BadFeatures(f"--features {path} holds {kind} {list(shape)}; {_EXPECTED}.")
    if shape[0] != rows:
        raise BadFeatures(
            f"--features {path} holds {shape[0]:,} vectors and {tables} {rows:,} rows; expected one for every row, in "
            "the order of the tables."
        )
    return FeatureFile(path, *shape)


def _opened(path: Path) -> AbstractContextManager[Any]:
    """An array-like [M, D] as it stands in the file, unread. Raises BadFeatures."""
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _opened_h5(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadFeatures(f"--features {path} cannot be read ({error}); {_EXPECTED}.") from error
    if not isinstance(array, np.ndarray):
        raise BadFeatures(f"--features {path} holds several arrays; {_EXPECTED}.")
    return nullcontext(array)


@contextmanager
def _opened_h5(path: Path) -> Iterator[Any]:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise BadFeatures(f"--features {path} cannot be read ({error}); {_EXPECTED}.") from error
    with file:
        found = file.get("features")
        if not isinstance(found, h5py.Dataset):
            raise BadFeatures(f"--features {path} has no dataset `features`, only {', '.join(file) or 'nothing'}.")
        yield found


@dataclass(frozen=True, eq=False)
class Features:
    """The vectors of a catalogue, checked; digests_M: uint8 [M, 16] of their bytes as stored, zeros where not read."""

    file: FeatureFile
    digests_M: NDArray[np.uint8]

    def identical(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return duplicates.exact_groups(self.digests_M[rows_R])

    def near(
        self, rows_R: NDArray[np.int64], exact_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return exact_R, {"bits": 0, "why": "off: vectors have no perceptual hash"}

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        shape, place = (len(rows_R), self.file.width), directory / FILE
        with (
            place.open("wb") as stream,
            console.progress("writing vectors", total=len(rows_R), unit="vectors") as advance,
        ):
            header = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for some, block in self.file.pieces(rows_R):
                stream.write(block.astype("<f2", copy=False).data)
                advance(len(some))
        distinct = len(np.unique(self.identical(rows_R)))
        return {"features": {"width": self.file.width, "count": distinct, "bytes": place.stat().st_size}}

    def columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return []

    def hashes(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return [duplicates.in_hexadecimal("vector", self.digests_M[rows_R])]

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        fingerprint.add("features", [len(rows_R), self.file.width])
        fingerprint.add("vectors", self.digests_M[rows_R])


def read_features(file: FeatureFile, rows_R: NDArray[np.int64], catalogue: Catalogue) -> Features:
    """Check the vectors of `rows_R` and hash them. Raises BadFeatures naming the first that is wrong, and its row."""
    digests_M = np.zeros((file.rows, 16), np.uint8)
    with console.progress("reading vectors", total=len(rows_R), unit="vectors") as advance:
        for some, block in file.pieces(rows_R):
            wrong = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(wrong):
                raise _not_finite(file, int(some[wrong[0]]), catalogue)
            hashed = b"".join(hashlib.blake2b(row, digest_size=16).digest() for row in block)
            digests_M[some] = np.frombuffer(hashed, np.uint8).reshape(-1, 16)
            advance(len(some))
    return Features(file, digests_M)


def _not_finite(file: FeatureFile, row: int, catalogue: Catalogue) -> BadFeatures:
    with _opened(file.path) as vectors_MD:
        vector = np.asarray(vectors_MD[row])
    with np.errstate(over="ignore"):
        position = int(np.flatnonzero(~np.isfinite(vector.astype(np.float16)))[0])
    table, table_row = catalogue.at(np.array([row]), "table", "table_row").row(0)
    place = f"{Path(catalogue.tables[table]).name}, row {table_row}"
    what = f"--features {file.path}, vector {row} counted from 0 ({place})"
    if np.isfinite(vector[position]):
        return BadFeatures(
            f"{what}: number {position} is {vector[position]:g}, too large for float16 (65,504 at most); scale the "
            "vectors."
        )
    return BadFeatures(f"{what}: number {position} is {vector[position]}; every number must be finite.")
