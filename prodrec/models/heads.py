"""The private layers of multi-task learning (S §3.4, fig. 4): one branch a level, and one for all attributes.

Shapes: B rows, D shared features, C classes of a level, A attributes, M states of all attributes, m of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base.taxonomy import Attribute
from prodrec.models.classifier.classifier import Classifier, at_least_float32


class LevelHead(nn.Module):
    """The branch of one level: private layers (none for most backbones), then its classifier.

    column: of the level among a batch's labels; weight: its λ of S eq. 5.
    """

    def __init__(self, level: str, column: int, private: nn.Module, classifier: Classifier, *, weight: float) -> None:
        super().__init__()
        self.level = level
        self.column = column
        self.weight = weight
        self.private = private
        self.classifier = classifier

    @property
    def key(self) -> str:
        """The level's name as that of a module (which may hold no dot, and not be one of torch's own: type, keys)."""
        return "level:" + self.level.replace("%", "%25").replace(".", "%2E")

    def loss(
        self, features_BD: Tensor, labels_B: Tensor, *, weights_B: Tensor | None = None, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """As `Classifier.loss`, behind the private layers; λ is not in it."""
        return self.classifier.loss(
            self.private(features_BD), labels_B, weights_B=weights_B, label_smoothing=label_smoothing
        )

    def scores(self, features_BD: Tensor) -> Tensor:
        """Unnormalised scores B×C."""
        return self.classifier.scores(self.private(features_BD))

    def top_k(self, features_BD: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k best scores and classes, B×K; all of them where there are fewer than k classes."""
        return self.classifier.top_k(self.private(features_BD), min(k, self.classifier.classes))


class AttributeHead(nn.Module):
    """The branch of all attributes: a layer of M = Σ m_i nodes, then a layer of m_i nodes for each (S §3.4).

    These two are its second and last layer; the ReLU between them is a guess (without one they would be one layer).
    weight is λ of the branch (S eq. 5), attribute_weights γ_j of every attribute (S eq. 7).
    """

    def __init__(
        self, features: int, attributes: Sequence[Attribute], columns: Sequence[int], *, weights: Sequence[float],
        weight: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.names = tuple(attribute.name for attribute in attributes)
        self.columns = tuple(columns)
        self.attribute_weights = tuple(weights)
        self.weight = weight
        states = [len(attribute.states) for attribute in attributes]
        self.together = nn.Sequential(nn.Linear(features, sum(states)), nn.ReLU())
        self.each = nn.ModuleList(nn.Linear(sum(states), m) for m in states)

    def loss(self, features_BD: Tensor, states_BA: Tensor, *, n: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """S eq. 7: 1/N Σ_n Σ_j S(y_nj ≠ 0) γ_j CE_nj, without λ; and, detached, 1/N Σ_n S(·) CE_nj by attribute.

        states_BA: the codes of all attributes of the dataset, 0 = absent. N counts the rows of the batch, labelled or
        not (n, where these are one rank's share of it); a batch in which no row has an attribute adds exactly 0.
        """
        total, parts = features_BD.new_zeros(()), {}
        n = len(states_BA) if n is None else n
        shared_BM = self.together(features_BD)
        for name, column, gamma, layer in zip(self.names, self.columns, self.attribute_weights, self.each, strict=True):
            scores_Bm = at_least_float32(layer(shared_BM))
            found = F.cross_entropy(scores_Bm, states_BA[:, column] - 1, ignore_index=-1, reduction="sum")
            parts[name] = (found / n).detach()
            total = total + gamma * found / n
        return total, parts

    def scores(self, features_BD: Tensor) -> dict[str, Tensor]:
        """Unnormalised scores B×m of the states of every attribute, by its name; column s is state s (code s + 1)."""
        with torch.autocast(features_BD.device.type, enabled=False):
            shared_BM = self.together(at_least_float32(features_BD))
            return {name: layer(shared_BM) for name, layer in zip(self.names, self.each, strict=True)}
