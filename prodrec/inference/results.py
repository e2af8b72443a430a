"""The results of recognising a photo.

Shapes: C=3 channels, H×W photo, h×w grid of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ATTENTION, GRAD_CAM = "attention", "grad-cam"


@dataclass(frozen=True)
class Prediction:
    """A class or a state of an attribute, with its probability.

    path:       names from the shallowest level down to the class, or the name of the state alone
    confidence: probability among the classes of the level or the states of the attribute
    """

    path: tuple[str, ...]
    confidence: float

    @property
    def name(self) -> str:
        """Name of the class or state."""
        return self.path[-1]


@dataclass(frozen=True)
class Answer:
    """The class that a photo is recognised as: that of the deepest level that is sure enough.

    levels:      names of the levels from the shallowest down to that of the class; empty if no level is sure
    path:        names of the classes at these levels
    confidences: their probabilities
    """

    levels: tuple[str, ...]
    path: tuple[str, ...]
    confidences: tuple[float, ...]

    @property
    def confidence(self) -> float | None:
        """Probability of the class, or None if no level is sure."""
        return self.confidences[-1] if self.confidences else None


@dataclass(frozen=True)
class Word:
    """A word of a title with its weight, or None if the vocabulary does not contain it."""

    word: str
    weight: float | None


@dataclass(frozen=True)
class Neighbour:
    """A training photo that votes for the classes of the deepest level.

    id:     id of its product
    path:   names from the shallowest level down to its class
    cosine: similarity of the two photos, at most 1
    share:  share of the vote
    """

    id: str
    path: tuple[str, ...]
    cosine: float
    share: float


@dataclass(frozen=True)
class FoundProduct:
    """A product of an index that is near to a photo.

    sku, title, path, tags: of the product
    is_predicted: whether the path is that which the run predicted when the product was indexed
    photo:  number of its nearest photo
    cosine: similarity to this photo, at most 1
    share:  share of the vote; 0 if the product does not vote
    """

    sku: str
    title: str
    path: tuple[str, ...]
    tags: tuple[str, ...]
    is_predicted: bool
    photo: int
    cosine: float
    share: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "path": list(self.path), "tags": list(self.tags)}


def nearest_of_all(found: Sequence[Sequence[FoundProduct]]) -> list[FoundProduct]:
    """Return the products nearest to any of several photos, each once, nearest first."""
    by_sku: dict[str, FoundProduct] = {}
    for product in sorted((product for one in found for product in one), key=lambda product: -product.cosine):
        by_sku.setdefault(product.sku, product)
    return list(by_sku.values())


@dataclass(frozen=True)
class Saliency:
    """Where the network looks, on a grid over the part of the photo that it sees.

    weights_hw:    float32
    method:        ATTENTION, the weights of the spatial attention; or GRAD_CAM, what speaks for the best class of the
                   deepest level
    rows, columns: the part of the photo, in pixels
    """

    weights_hw: NDArray[np.float32]
    method: str
    rows: slice
    columns: slice


@dataclass(frozen=True, repr=False)
class Recognised:
    """The predictions for a photo, or for several photos of one product.

    photo_CHW:          the photo as decoded, uint8 [3, H, W], upright; of several, the first
    levels, attributes: predictions by name, most probable first
    words:              words of the title, or None without a title
    saliency:           None unless it was requested
    pooled:             number of photos whose scores were averaged; None if the photo was recognised by itself
    neighbours:         training photos that vote, largest share first; None if none vote or photos were pooled
    answer:             the class of the deepest level that is sure; None for a run that predicts attributes alone
    vector_D:           the feature by which photos are compared, float32 of length 1; None if no level is predicted
    products:           products of an index, nearest first; None without an index
    """

    photo_CHW: NDArray[np.uint8]
    levels: dict[str, list[Prediction]]
    attributes: dict[str, list[Prediction]]
    words: list[Word] | None = None
    saliency: Saliency | None = None
    pooled: int | None = None
    neighbours: list[Neighbour] | None = None
    answer: Answer | None = None
    vector_D: NDArray[np.float32] | None = None
    products: list[FoundProduct] | None = None

    def __repr__(self) -> str:
        """Return the best class of every level and the best state of every attribute, such as `leaf: Boots 93.1%`."""
        best = {**self.levels, **self.attributes}
        texts = [f"{name}: {first.name} {first.confidence:.1%}" for name, (first, *_) in best.items()]
        texts += [] if self.pooled is None else [f"{self.pooled} photos pooled"]
        return f"Recognised({', '.join(texts)})"

    def as_json(self) -> dict[str, Any]:
        """Return the predictions as values that JSON can represent, without the photo."""
        values: dict[str, Any] = {
            "levels": {
                level: [{"class": p.name, "path": list(p.path), "confidence": p.confidence} for p in best]
                for level, best in self.levels.items()
            },
            "attributes": {
                name: [{"state": p.name, "confidence": p.confidence} for p in best]
                for name, best in self.attributes.items()
            },
        }
        if self.answer is not None:
            values["answer"] = {key: list(value) for key, value in vars(self.answer).items()}
        if self.pooled is not None:
            values["photos_pooled"] = self.pooled
        if self.neighbours is not None:
            values["neighbours"] = [{**vars(neighbour), "path": list(neighbour.path)} for neighbour in self.neighbours]
        if self.products is not None:
            values["products"] = [product.as_json() for product in self.products]
        if self.words is not None:
            values["words"] = [vars(word) for word in self.words]
        if self.saliency is not None:
            rows, columns = self.saliency.rows, self.saliency.columns
            values["saliency"] = {
                "method": self.saliency.method,
                "photo": list(self.photo_CHW.shape[1:]),
                "rows": [rows.start, rows.stop],
                "columns": [columns.start, columns.stop],
                "weights": self.saliency.weights_hw.tolist(),
            }
        return values
