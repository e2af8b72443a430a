"""What scoring and recognising require of a network in evaluation mode. `models/network.py` is one implementation.

Shapes: B rows of a batch, D features, C classes of a level, K best classes, m states of an attribute, T words,
H×W photo, h×w feature map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.batches import Batch


class BatchScores(Protocol):
    """Features and unnormalised scores of a batch.

    scores:           B×C by level
    attribute_scores: B×m by attribute
    """

    @property
    def features_BD(self) -> Tensor: ...
    @property
    def scores(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class BatchTopK(BatchScores, Protocol):
    """Features of a batch and the K largest scores of every level; `scores` and `classes` are B×K by level."""

    @property
    def classes(self) -> dict[str, Tensor]: ...


class EncodedTitles(Protocol):
    """Titles with the weight of every word."""

    @property
    def weights_BT(self) -> Tensor: ...


class ScoringNetwork(Protocol):
    """A network that scores batches."""

    def score(self, batch: Batch, *, with_titles: bool = False) -> BatchScores: ...
    def top_k(self, batch: Batch, k: int, *, with_titles: bool = False) -> BatchTopK: ...


class RecognisingNetwork(Protocol):
    """A network that scores batches, weighs the words of titles, and returns the weights of its attention (B×h×w)."""

    def score(self, batch: Batch, *, with_titles: bool = False) -> BatchScores: ...
    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles: ...
    def saliency(self, images_BCHW: Tensor) -> Tensor: ...
