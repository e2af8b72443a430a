"""What the vote of neighbours requires of a network in evaluation mode. `models/network.py` is one implementation.

Shapes: B rows of a batch, D features, C classes of a level, P groups of classes, K best classes, J further classes, m
states of an attribute, T words, H×W photo, h×w feature map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.base.top_k_options import TopKOptions
    from prodrec.core.data.batches import Batch
    from prodrec.inference.neighbours.fused import Voter


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


class BestAmong(Protocol):
    """The K largest scores of some classes, −∞ if there are fewer, and log Σ_c exp(score_c) over them."""

    @property
    def scores_BK(self) -> Tensor: ...
    @property
    def classes_BK(self) -> Tensor: ...
    @property
    def logsumexp_B(self) -> Tensor | None: ...


class BatchBest(BatchTopK, Protocol):
    """The K largest scores, and of the deepest level log Σ_c exp(score_c), further scores, and the best among some.

    All three are None unless they were requested.
    """

    @property
    def logsumexp_B(self) -> Tensor | None: ...
    @property
    def also_BJ(self) -> Tensor | None: ...
    @property
    def among(self) -> BestAmong | None: ...


class RecognisedBatch(NamedTuple):
    """What a network recognises in the photos of a batch.

    scored:     scores of all classes
    vectors_BD: the vectors by which photos are compared, of length 1; None for a network without levels
    voters:     the training photos that vote for every photo, largest share first; None if none vote
    products:   the products of an index nearest to every photo, each a FoundProduct; None without an index
    """

    scored: BatchScores
    vectors_BD: Tensor | None = None
    voters: list[list[Voter]] | None = None
    products: list[list[Any]] | None = None


class FusibleNetwork(Protocol):
    """A network whose scores can be adjusted and mixed with the vote of neighbours.

    features:        returns features, in the network's own type, for the other methods
    search_vectors:  returns the vectors by which photos are compared, B×D float32 of length 1
    scores_of:       returns the scores of all classes, with logit adjustment τ
    upper_scores_of: returns those of the levels above the deepest one, by level
    top_k_of:        returns the K largest scores, with logit adjustment τ, and what `options` requests of the deepest
                     level
    """

    def features(self, batch: Batch, *, with_titles: bool = False) -> Any: ...
    def search_vectors(self, features: Any) -> Tensor: ...
    def scores_of(self, features: Any, *, tau: float | None = None) -> BatchScores: ...
    def upper_scores_of(self, features: Any, *, tau: float | None = None) -> dict[str, Tensor]: ...
    def top_k_of(
        self,
        features: Any,
        k: int,
        *,
        tau: float | None = None,
        options: TopKOptions = ...,
    ) -> BatchBest: ...
    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles: ...
    def attention_weights(self, images_BCHW: Tensor) -> Tensor | None: ...
    def class_activation(self, images_BCHW: Tensor, class_B: Tensor) -> Tensor | None: ...
