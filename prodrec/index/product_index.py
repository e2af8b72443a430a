"""Read a product index: search in it, and look products up.

Shapes: B queries, d numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import Mismatch
from prodrec.index.header import IndexHeader
from prodrec.index.memory import MOST_NUMBERS, PhotosInMemory
from prodrec.index.products import Hit, Match, Product
from prodrec.index.table import PhotoTable
from prodrec.index.vectors import to_vectors
from prodrec.index.words import split_words

if TYPE_CHECKING:
    import polars as pl

PHOTOS_PER_PRODUCT = 2
"""Photos that a search reads first for each product that it returns; it reads more if products have more."""

MOST_WORDS = 100
"""Words of a text by which products are searched; its others are ignored."""


@dataclass(frozen=True, eq=False)
class ProductIndex:
    """A version of an index. Several threads may use one ProductIndex, while another process updates the index."""

    path: Path
    header: IndexHeader
    table: PhotoTable

    @classmethod
    def open(cls, path: Path) -> ProductIndex:
        """Open the newest version of the index `path`. Raise NotFound or BadArtefact."""
        path = Path(path)
        header = IndexHeader.read(path)
        return cls(path, header, PhotoTable.open(path, header.width))

    def refreshed(self) -> ProductIndex:
        """Return the newest version, or this object if it is that. Raise NotFound or BadArtefact."""
        newest = ProductIndex.open(self.path)
        is_same = (newest.version, newest.header.build) == (self.version, self.header.build)
        return self if is_same and newest.header.search == self.header.search else newest

    @property
    def version(self) -> int:
        """Number of the version, which grows with every update."""
        return self.table.version

    @property
    def run_fingerprint(self) -> str:
        """Fingerprint of the run that made the vectors."""
        return self.header.run_fingerprint

    def require_run(self, fingerprint: str, *, name: str) -> None:
        """Raise Mismatch unless the vectors were made by the run with this fingerprint."""
        if fingerprint != self.run_fingerprint:
            raise Mismatch(
                f"{self.path} has vectors of the run {self.header.run_name} as it was, and {name} has other weights; "
                f"make the index again with `prodrec index build {name} --out {self.path} --force`."
            )

    def __len__(self) -> int:
        return len(self.table)

    def preload(self) -> None:
        """Read what the first search would read."""
        _ = self._in_memory

    @cached_property
    def _in_memory(self) -> PhotosInMemory | None:
        is_small = len(self) * self.header.width <= MOST_NUMBERS
        return PhotosInMemory.load(self.table) if is_small and not self.header.search.probes else None

    def _nearest(self, vectors_Bd: NDArray[np.floating], limit: int) -> list[list[tuple[float, dict[str, Any]]]]:
        if self._in_memory is not None:
            return self._in_memory.nearest(vectors_Bd, limit)
        return self.table.nearest(vectors_Bd, limit, probes=self.header.search.probes)

    def search(
        self, vectors_Bd: NDArray[np.floating], top: int, *, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        """Return the `top` products nearest to each of B vectors, nearest first.

        vectors_Bd: of length 1, made as the index makes them
        exclude:    ids of products that are not returned, for each vector
        """
        excluded = [frozenset(skus) for skus in exclude] if exclude is not None else [frozenset()] * len(vectors_Bd)
        results: list[list[Hit]] = [[] for _ in excluded]
        open_queries, total = list(range(len(vectors_Bd))), len(self)
        limit = PHOTOS_PER_PRODUCT * top + max((len(skus) for skus in excluded), default=0)
        while open_queries:
            limit = min(limit, total)
            if not limit:
                return results
            found = self._nearest(vectors_Bd[open_queries], limit)
            unfinished = []
            for query, rows in zip(open_queries, found, strict=True):
                results[query] = _products_of(rows, excluded[query])[:top]
                if len(results[query]) < top and len(rows) == limit < total:
                    unfinished.append(query)
            open_queries, limit = unfinished, limit * 4
        return results

    def product(self, sku: str) -> Product | None:
        """Return a product, or None if the index does not have it."""
        rows = self.table.rows_of([sku])
        return as_product(rows[0]) if rows else None

    def with_words(self, text: str, top: int) -> list[Match]:
        """Return the `top` products that the words of a text describe best, best first.

        Raise BadOption if a library that splits the texts of the index is not installed.
        """
        words = split_words([text], self.header.tokenizer)
        found = self.table.with_words(words[:MOST_WORDS], top) if words else []
        return [Match(as_product(row), score) for score, row in found]

    def similar(self, sku: str, top: int) -> list[Hit]:
        """Return the products most similar to a product by any of its photos, without itself; none if it is unknown."""
        rows = self.table.rows_of([sku], ["vector"])
        if not rows:
            return []
        vectors_Bd = np.array([row["vector"] for row in rows], np.float32)
        hits = self.search(vectors_Bd, top, exclude=[{sku}] * len(rows))
        best: dict[str, Hit] = {}
        for hit in sorted((hit for of_photo in hits for hit in of_photo), key=lambda hit: -hit.cosine):
            best.setdefault(hit.product.sku, hit)
        return list(best.values())[:top]

    def thumbnail(self, sku: str, photo: int = 0) -> bytes | None:
        """Return the JPEG of a photo, at most THUMBNAIL_SIDE pixels high and wide; None if there is none."""
        return self.table.thumbnail(sku, photo)

    def frame(self, *columns: str) -> pl.DataFrame:
        """Return columns of the table for all photos, see `table`."""
        return self.table.frame(*columns)

    def to_vectors(self, features_BD: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the vectors of features of the run of length 1."""
        return to_vectors(features_BD, self.header.projection)


def as_product(row: dict[str, Any]) -> Product:
    """Return the product of a row of the table."""
    path, tags = tuple(row["path"]), tuple(row["tags"])
    return Product(row["sku"], row["title"], path, tags, row["photos"], row["predicted"])


def _products_of(rows: Sequence[tuple[float, dict[str, Any]]], excluded: Collection[str]) -> list[Hit]:
    """Return the nearest photo of every product, nearest first."""
    hits: dict[str, Hit] = {}
    for cosine, row in rows:
        if row["sku"] not in excluded and row["sku"] not in hits:
            hits[row["sku"]] = Hit(as_product(row), min(1.0, cosine), row["photo"], row["photo_hash"])
    return list(hits.values())
