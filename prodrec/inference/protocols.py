"""What scoring and recognising require of a network in evaluation mode. `models/network.py` is one implementation.

Shapes: B rows of a batch, D feature, C classes of a level, K best classes, m states of an attribute, T words,
H×W photo, h×w feature map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.batches import Batch


class Scores(Protocol):
    """Features and unnormalised scores.

    scores:           B×C by level
    attribute_scores: B×m by attribute
    """

    @property
    def features_BD(self) -> Tensor: ...
    @property
    def scores(self) -> dict[str, Tensor]: ...
    @property
    def attribute_scores(self) -> dict[str, Tensor]: ...


class TopKScores(Scores, Protocol):
    """Features and the K best scores of every level; `classes` has their classes, B×K by level."""

    @property
    def classes(self) -> dict[str, Tensor]: ...


class EncodedTitles(Protocol):
    """Titles with the weight of every word."""

    @property
    def weights_BT(self) -> Tensor: ...


class ScoringNetwork(Protocol):
    """A network that scores batches."""

    def score(self, batch: Batch, *, with_titles: bool = False) -> Scores: ...
    def top_k(self, batch: Batch, k: int, *, with_titles: bool = False) -> TopKScores: ...


class RecognisingNetwork(Protocol):
    """A network that scores batches, weighs the words of titles, and shows its spatial attention as B×h×w."""

    def score(self, batch: Batch, *, with_titles: bool = False) -> Scores: ...
    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles: ...
    def saliency(self, images_BCHW: Tensor) -> Tensor: ...
