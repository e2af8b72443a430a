"""What the service requires of a run and of an index of products; `pipeline/serving_engine.py` implements it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of an upright photo, as shares of its width and height from 0 to 1."""
Values = dict[str, Any]
"""An object that JSON can represent."""


@dataclass(frozen=True)
class Question:
    """What a request asks about its photos.

    top:            number of classes of every level, of states of every attribute, and of products
    min_confidence: smallest probability of an answer
    precision:      share of the answers that shall be right; None if it does not matter
    pool:           whether the photos show one product
    explain:        whether to compute where the network looks
    """

    top: int = 5
    min_confidence: float = 0.0
    precision: float | None = None
    pool: bool = False
    explain: bool = False


@dataclass(frozen=True)
class Job:
    """The photos of a request, as `Engine.prepare` returned them."""

    photos: tuple[Any, ...]
    question: Question


@dataclass(frozen=True)
class Answered:
    """The results of a job, one for each photo or, if they are pooled, one for all.

    index_version: the version of the index that was searched; None without an index
    """

    results: list[Values]
    index_version: int | None


class Product(Protocol):
    """A product of the index, with the number of its photos."""

    @property
    def sku(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def path(self) -> tuple[str, ...]: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def photos(self) -> int: ...


class Hit(Protocol):
    """A product that was found, the similarity of its nearest photo, and the number of that photo."""

    @property
    def product(self) -> Product: ...
    @property
    def cosine(self) -> float: ...
    @property
    def photo(self) -> int: ...


class Match(Protocol):
    """A product that words describe, and how well."""

    @property
    def product(self) -> Product: ...
    @property
    def score(self) -> float: ...


class ProductIndex(Protocol):
    """An index of products, opened at one version. Several threads may read it."""

    @property
    def version(self) -> int: ...
    def product(self, sku: str) -> Product | None: ...
    def similar(self, sku: str, top: int) -> Sequence[Hit]: ...
    def with_words(self, text: str, top: int) -> Sequence[Match]: ...
    def thumbnail(self, sku: str, photo: int = 0) -> bytes | None: ...


class Engine(Protocol):
    """A run that recognises, perhaps with an index of products."""

    @property
    def run(self) -> dict[str, str]:
        """Name and fingerprint of the run."""

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels, the shallowest first."""

    @property
    def index(self) -> ProductIndex | None:
        """The index at the version that is searched now."""

    def check(self, question: Question) -> None:
        """Raise BadOption if the run cannot answer the question."""

    def prepare(self, data: bytes, box: Box | None) -> Any:
        """Decode a photo. Several threads call this. Raise BadPhoto."""

    def answer(self, jobs: Sequence[Job]) -> list[Answered]:
        """Answer jobs together. One thread calls this."""

    def classes(self, words: str, top: int) -> list[tuple[str, ...]]:
        """Return the paths of the first classes of the deepest level whose names contain `words`."""

    def has_class(self, path: Sequence[str]) -> bool:
        """Return whether the tree has this path, from a root down to any level."""

    def encode(self, data: bytes, box: Box | None) -> bytes:
        """Return the part of a photo that the box contains as a JPEG without metadata. Raise BadPhoto."""

    def refresh(self) -> bool:
        """Take up a newer version of the index; return whether there was one."""


def product_values(product: Product) -> Values:
    """Return a product as JSON values."""
    return {**_description(product), "photos": product.photos}


def hit_values(hit: Hit) -> Values:
    """Return a product that was found as JSON values."""
    return {**_description(hit.product), "photo": hit.photo, "cosine": float(hit.cosine)}


def match_values(match: Match) -> Values:
    """Return a product that words describe as JSON values; the photo to show is its first one."""
    return {**_description(match.product), "photo": 0, "score": float(match.score)}


def _description(product: Product) -> Values:
    return {"sku": product.sku, "title": product.title, "path": list(product.path), "tags": list(product.tags)}
