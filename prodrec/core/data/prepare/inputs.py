"""What the rows show a network: photos, or vectors that another network made of photos, or nothing at all.

Shapes: M rows of all tables, R some of them (int64, ascending), P distinct photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import Fingerprint
from prodrec.core.data.duplicates import groups as duplicates
from prodrec.core.data.duplicates import near_duplicates
from prodrec.core.data.photos.decoding import Decoded
from prodrec.core.data.photos.sources import PhotoSource
from prodrec.core.data.photos.store import write_in_place, write_index

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["photos", "features", "nothing"]


class Inputs(Protocol):
    """What `prepare` asks of them, for some rows at a time."""

    def identical(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        """Group numbers of rows that show the very same, as `duplicates.exact_groups` has them: int64 [R]."""
        ...

    def near(
        self, rows_R: NDArray[np.int64], exact_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Groups of identical and near-identical rows, and what was decided; see `near_duplicates.join_near`."""
        ...

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        """Write what the rows show into the dataset `directory`; its part of dataset.json."""
        ...

    def columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        """Columns of products.parquet."""
        ...

    def hashes(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        """Columns of duplicates.csv: the hashes that made the rows duplicates."""
        ...

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        """Add all that a network will see of the rows."""
        ...


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos, decoded; size: the short side as stored, None where they are left in place."""

    source: PhotoSource
    decoded: Decoded
    size: int | None

    def identical(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return duplicates.exact_groups(self.decoded.digests[self.decoded.number_M[rows_R]])

    def near(
        self, rows_R: NDArray[np.int64], exact_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return near_duplicates.join_near(exact_R, self.decoded.hashes[self.decoded.number_M[rows_R]], leaf_R, choice)

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        number_R, stored = self.decoded.number_M[rows_R], 0
        if self.size is None:
            write_in_place(directory / "photos", self.source.places(self.decoded.photos[number_R]))
        else:
            stored = write_index(directory / "photos", self.decoded.places, number_R)
        return {
            "photos": {
                "size": self.size,
                "in_place": self.size is None,
                "count": len(np.unique(number_R)),
                "bytes": stored,
            }
        }

    def columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        import polars as pl

        sizes_R2 = self.decoded.sizes[self.decoded.number_M[rows_R]]
        return [pl.Series("width", sizes_R2[:, 0]), pl.Series("height", sizes_R2[:, 1])]

    def hashes(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        number_R = self.decoded.number_M[rows_R]
        perceptual = self.decoded.hashes[number_R].astype(">u8")
        return [
            duplicates.in_hexadecimal("pixels", self.decoded.digests[number_R]),
            duplicates.in_hexadecimal("perceptual", perceptual.view(np.uint8).reshape(-1, 8)),
        ]

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        fingerprint.add("photos", self.decoded.digests[self.decoded.number_M[rows_R]])
        fingerprint.add("stored", [self.size is None, self.size])


@dataclass(frozen=True)
class Nothing:
    """Rows that show nothing, with --no-images: titles and categories alone."""

    def identical(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.arange(len(rows_R), dtype=np.int64)

    def near(
        self, rows_R: NDArray[np.int64], exact_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return exact_R, {"bits": 0, "why": "off: there are no photos"}

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        return {}

    def columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return []

    def hashes(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return []

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        fingerprint.add("inputs", "nothing")
