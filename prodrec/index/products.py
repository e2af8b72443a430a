"""What a product index knows about a product, and what a search in it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Product:
    """A product of the index.

    sku:          its id in the tables
    path:         names of its categories from the shallowest down; empty if none is known
    tags:         states of attributes, then words of the title
    photos:       number of its photos, which are numbered from 0
    is_predicted: whether the path is that which the run predicted, because the table gave none
    """

    sku: str
    title: str
    path: tuple[str, ...]
    tags: tuple[str, ...]
    photos: int
    is_predicted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "path": list(self.path), "tags": list(self.tags)}


@dataclass(frozen=True)
class Hit:
    """A product that a search found, by its photo nearest to the query.

    cosine:     of the vectors of both photos, at most 1
    photo:      number of the nearest photo
    photo_hash: hash of this photo; equal for identical photos of several products
    """

    product: Product
    cosine: float
    photo: int
    photo_hash: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.product.as_json(), "cosine": self.cosine, "photo": self.photo}


@dataclass(frozen=True)
class Match:
    """A product that words describe, and how well: its score by BM25, which compares products for the same words."""

    product: Product
    score: float

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self.product.as_json(), "score": self.score}
