"""Feature vectors in place of photos: a .npy or .h5 file with one vector for every row of the tables.

The dataset stores the vectors as float16.

Shapes: M rows of all tables, R some of these rows (int64, ascending), r rows of a chunk, D numbers of a vector.
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
from prodrec.core.base.arrays import ERRORS_OF_NPY
from prodrec.core.base.artefact import Fingerprint
from prodrec.core.base.errors import BadFeatures, NotFound
from prodrec.core.base.hdf5 import OPEN_FOR_WRITING, check_size
from prodrec.core.data.duplicates import groups
from prodrec.core.data.photos.photo_table import DIGEST_BYTES

if TYPE_CHECKING:
    import polars as pl

    from prodrec.core.data.tables.catalogue import Catalogue

FEATURES_FILE = Path("arrays") / "features.npy"

_DTYPES = ("float16", "float32")
_CHUNK_BYTES = 32 << 20
_EXPECTED = "expected [rows, numbers] of float16 or float32, a .npy file or an .h5 file with a dataset `features`"


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """The user's file of M vectors. Every pass opens it and reads it in chunks."""

    path: Path
    rows: int
    width: int

    def chunks(self, rows_R: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Yield the vectors of `rows_R` in chunks: their rows int64 [r] and the vectors float16 [r, D].

        A number that is too large for float16 becomes infinite.
        """
        chunk_rows = max(1, _CHUNK_BYTES // (4 * self.width))
        for start in range(0, self.rows, chunk_rows):
            first, last = np.searchsorted(rows_R, [start, start + chunk_rows])
            if first == last:
                continue
            rows_r = rows_R[first:last]
            with _open_vectors(self.path) as vectors_MD, np.errstate(over="ignore"):
                vectors_rD = np.asarray(vectors_MD[rows_r[0] : rows_r[-1] + 1])[rows_r - rows_r[0]].astype(np.float16)
            del vectors_MD  # mapped pages count as memory of this process until the file is closed
            yield rows_r, vectors_rD


def open_features(path: Path, *, rows: int | None, tables: str) -> FeatureFile:
    """Open the vectors of a catalogue; messages name its `tables`. Raise NotFound or BadFeatures.

    rows: the number of rows of the catalogue; None if it is not known
    """
    if not path.exists():
        raise NotFound(f"--features {path} does not exist; {_EXPECTED}.")
    with _open_vectors(path) as vectors_MD:
        shape, dtype = tuple(vectors_MD.shape), str(vectors_MD.dtype)
    if len(shape) != 2 or 0 in shape[1:] or dtype not in _DTYPES:
        raise BadFeatures(f"--features {path} contains {dtype} {list(shape)}; {_EXPECTED}.")
    if rows is not None and shape[0] != rows:
        raise BadFeatures(
            f"--features {path} contains {shape[0]:,} vectors and {tables} {rows:,} rows; expected one for every row, "
            "in the order of the tables."
        )
    return FeatureFile(path, *shape)


def _open_vectors(path: Path) -> AbstractContextManager[Any]:
    """Open the array-like [M, D] in a file without reading it. Raise BadFeatures."""
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _open_h5(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ERRORS_OF_NPY as error:
        raise BadFeatures(f"--features {path} cannot be read ({error}); {_EXPECTED}.") from error
    if not isinstance(array, np.ndarray):
        raise BadFeatures(f"--features {path} contains several arrays; {_EXPECTED}.")
    return nullcontext(array)


@contextmanager
def _open_h5(path: Path) -> Iterator[Any]:
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        if OPEN_FOR_WRITING in str(error):
            raise BadFeatures(f"--features {path} is open for writing in another program; close it there.") from error
        raise BadFeatures(f"--features {path} cannot be read ({error}); {_EXPECTED}.") from error
    with file:
        vectors = file.get("features")
        if not isinstance(vectors, h5py.Dataset):
            raise BadFeatures(f"--features {path} has no dataset `features`, only {', '.join(file) or 'nothing'}.")
        try:
            check_size(vectors)
        except ValueError as error:
            raise BadFeatures(f"--features {path} is damaged: {error}.") from error
        yield vectors


@dataclass(frozen=True, eq=False)
class Features:
    """The checked vectors of a catalogue. The methods are those of ModelInputs, see core.data.prepare.inputs.

    digests_MD: uint8 [M, DIGEST_BYTES], hash of every vector as float16; zeros for a row that was not read
    """

    file: FeatureFile
    digests_MD: NDArray[np.uint8]

    def identical_groups(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return groups.identical_groups(self.digests_MD[rows_R])

    def duplicate_groups(
        self, rows_R: NDArray[np.int64], identical_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return identical_R, {"bits": 0, "why": "off: vectors have no perceptual hash"}

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        shape, path = (len(rows_R), self.file.width), directory / FEATURES_FILE
        with (
            path.open("wb") as stream,
            console.progress("writing vectors", total=len(rows_R), unit="vectors") as advance,
        ):
            header = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for rows_r, vectors_rD in self.file.chunks(rows_R):
                stream.write(vectors_rD.astype("<f2", copy=False).data)
                advance(len(rows_r))
        distinct = len(np.unique(self.identical_groups(rows_R)))
        return {"features": {"width": self.file.width, "count": distinct, "bytes": path.stat().st_size}}

    def product_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return []

    def hash_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return [groups.hex_column("vector", self.digests_MD[rows_R])]

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        fingerprint.add("features", [len(rows_R), self.file.width])
        fingerprint.add("vectors", self.digests_MD[rows_R])


def read_features(file: FeatureFile, rows_R: NDArray[np.int64], catalogue: Catalogue) -> Features:
    """Check and hash the vectors of `rows_R`. Raise BadFeatures, which names the first invalid number and its row."""
    digests_MD = np.zeros((file.rows, DIGEST_BYTES), np.uint8)
    with console.progress("reading vectors", total=len(rows_R), unit="vectors") as advance:
        for rows_r, vectors_rD in file.chunks(rows_R):
            invalid_r = np.flatnonzero(~np.isfinite(vectors_rD).all(axis=1))
            if len(invalid_r):
                raise _not_finite(file, int(rows_r[invalid_r[0]]), catalogue)
            digests = b"".join(hashlib.blake2b(vector, digest_size=DIGEST_BYTES).digest() for vector in vectors_rD)
            digests_MD[rows_r] = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)
            advance(len(rows_r))
    return Features(file, digests_MD)


def _not_finite(file: FeatureFile, row: int, catalogue: Catalogue) -> BadFeatures:
    """Return the error for the first number of a vector that is not finite as float16."""
    with _open_vectors(file.path) as vectors_MD:
        vector_D = np.asarray(vectors_MD[row])
    with np.errstate(over="ignore"):
        position = int(np.flatnonzero(~np.isfinite(vector_D.astype(np.float16)))[0])
    table, table_row = catalogue.read_rows(np.array([row]), "table", "table_row").row(0)
    origin = f"{Path(catalogue.tables[table]).name}, row {table_row}"
    vector_name = f"--features {file.path}, vector {row} counted from 0 ({origin})"
    if np.isfinite(vector_D[position]):
        return BadFeatures(
            f"{vector_name}: number {position} is {vector_D[position]:g}, too large for float16 (65,504 at most); "
            "scale the vectors."
        )
    return BadFeatures(f"{vector_name}: number {position} is {vector_D[position]}; every number must be finite.")
