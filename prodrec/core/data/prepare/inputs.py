"""What a network receives for each row of a dataset: a photo, a feature vector, or nothing.

Shapes: M rows of all tables, R rows of one call (int64, ascending), P distinct photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import Fingerprint
from prodrec.core.data.duplicates.groups import hex_column, identical_groups
from prodrec.core.data.duplicates.near_duplicates import join_near_duplicates
from prodrec.core.data.photos.decoding import DecodedPhotos
from prodrec.core.data.photos.sources import PhotoSource
from prodrec.core.data.photos.store import write_in_place, write_index

if TYPE_CHECKING:
    import polars as pl


class ModelInputs(Protocol):
    """The inputs of all M rows: `PhotoInputs`, `NoInputs` or `photos.features.Features`."""

    def identical_groups(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the group of every row, int64 [R]; rows with identical inputs form a group. See duplicates.groups."""
        ...

    def duplicate_groups(
        self, rows_R: NDArray[np.int64], identical_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Return the groups of identical and near-identical rows, and the decision on near-identical ones.

        identical_R: the result of `identical_groups`
        leaf_R:      the leaf of every row
        choice:      the value of --near-duplicates

        Both results have the form of those of `join_near_duplicates`.
        """
        ...

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        """Write the inputs of the rows into the dataset `directory`, and return the entry of dataset.json."""
        ...

    def product_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        """Return the columns of products.parquet that describe the inputs."""
        ...

    def hash_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        """Return the columns of duplicates.csv: the hashes by which rows are duplicates."""
        ...

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        """Add the inputs of the rows to the fingerprint of the dataset."""
        ...


@dataclass(frozen=True, eq=False)
class PhotoInputs:
    """Decoded photos. `size` is their short side in pixels as stored, or None with --in-place."""

    source: PhotoSource
    decoded: DecodedPhotos
    size: int | None

    def identical_groups(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return identical_groups(self._digests(rows_R))

    def duplicate_groups(
        self, rows_R: NDArray[np.int64], identical_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return join_near_duplicates(identical_R, self._perceptual_hashes(rows_R), leaf_R, choice)

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        photo_R, stored_bytes = self.decoded.photo_M[rows_R], 0
        if self.size is None:
            write_in_place(directory / "photos", self.source.locations(self.decoded.source_P[photo_R]))
        else:
            stored_bytes = write_index(directory / "photos", self.decoded.table.index_P3, photo_R)
        return {
            "photos": {
                "size": self.size,
                "in_place": self.size is None,
                "count": len(np.unique(photo_R)),
                "bytes": stored_bytes,
            }
        }

    def product_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        import polars as pl

        sizes_R2 = self.decoded.table.sizes_P2[self.decoded.photo_M[rows_R]]
        return [pl.Series("width", sizes_R2[:, 0]), pl.Series("height", sizes_R2[:, 1])]

    def hash_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        perceptual_R = self._perceptual_hashes(rows_R).astype(">u8")
        return [
            hex_column("pixels", self._digests(rows_R)),
            hex_column("perceptual", perceptual_R.view(np.uint8).reshape(-1, 8)),
        ]

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        fingerprint.add("photos", self._digests(rows_R))
        fingerprint.add("stored", [self.size is None, self.size])

    def _digests(self, rows_R: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.decoded.table.digests_PD[self.decoded.photo_M[rows_R]]

    def _perceptual_hashes(self, rows_R: NDArray[np.int64]) -> NDArray[np.uint64]:
        return self.decoded.table.hashes_P[self.decoded.photo_M[rows_R]]


@dataclass(frozen=True)
class NoInputs:
    """Neither photos nor vectors (--no-images): only titles and categories. No row has a duplicate."""

    def identical_groups(self, rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.arange(len(rows_R), dtype=np.int64)

    def duplicate_groups(
        self, rows_R: NDArray[np.int64], identical_R: NDArray[np.int64], leaf_R: NDArray[np.int32], choice: str
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        return identical_R, {"bits": 0, "why": "off: there are no photos"}

    def write(self, directory: Path, rows_R: NDArray[np.int64]) -> dict[str, Any]:
        return {}

    def product_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return []

    def hash_columns(self, rows_R: NDArray[np.int64]) -> list[pl.Series]:
        return []

    def add_to(self, fingerprint: Fingerprint, rows_R: NDArray[np.int64]) -> None:
        fingerprint.add("inputs", "nothing")
