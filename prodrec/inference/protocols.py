"""What scoring and recognising require of a network in evaluation mode. `neighbours/fused.py` is one implementation.

Shapes: B rows of a batch, T words, H×W photo, h×w feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.core.data.batches import Batch
    from prodrec.inference.neighbours.operating_points import OperatingPoint
    from prodrec.inference.neighbours.protocols import BatchScores, BatchTopK, EncodedTitles, RecognisedBatch


class ScoringNetwork(Protocol):
    """A network that scores batches at operating points.

    features: returns the features of a batch, in the network's own type, from which all scores are computed
    """

    def features(self, batch: Batch, points: Sequence[OperatingPoint], *, with_titles: bool = False) -> Any: ...
    def score(self, features: Any, point: OperatingPoint) -> BatchScores: ...
    def top_k(self, features: Any, k: int, point: OperatingPoint) -> BatchTopK: ...


class RecognisingNetwork(Protocol):
    """A network that scores batches, weighs the words of titles, and shows where it looks (B×h×w).

    voters_level: the level of the classes of the training photos that vote
    """

    def recognise(self, batch: Batch, *, with_titles: bool = False) -> RecognisedBatch: ...
    @property
    def voters_level(self) -> str | None: ...
    def encode_titles(self, tokens_BT: Tensor) -> EncodedTitles: ...
    def attention_weights(self, images_BCHW: Tensor) -> Tensor | None: ...
    def class_activation(self, images_BCHW: Tensor, class_B: Tensor) -> Tensor | None: ...
