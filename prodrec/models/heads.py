"""The heads of a network (S §3.4, fig. 4): one for each level that is predicted, and one for all attributes.

A head contains the layers that only one task uses: private layers and a classifier. ("Head" never means the frequent
classes here.)

Shapes: B rows, D shared features, C classes of a level, K best classes, A attributes, m states of one attribute, M of
all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base.taxonomy import Attribute
from prodrec.core.base.top_k_options import BEST_ALONE, TopKOptions
from prodrec.models.classifier.block_top_k import TopK
from prodrec.models.classifier.class_scores import at_least_float32
from prodrec.models.classifier.classifier import Classifier


class LevelHead(nn.Module):
    """The head of a level: private layers, which most backbones do not have, and a classifier.

    column: column of the level in `Batch.labels_BL`
    weight: λ of S eq. 5
    """

    def __init__(self, level: str, column: int, private: nn.Module, classifier: Classifier, *, weight: float) -> None:
        super().__init__()
        self.level = level
        self.column = column
        self.weight = weight
        self.private = private
        self.classifier = classifier

    @property
    def module_name(self) -> str:
        """The level's name as a key of nn.ModuleDict: it may not contain dots or be an attribute of it (type, keys)."""
        return "level:" + self.level.replace("%", "%25").replace(".", "%2E")

    def loss(
        self,
        features_BD: Tensor,
        labels_B: Tensor,
        *,
        weights_B: Tensor | None = None,
        label_smoothing: float = 0.0,
        progress: float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        """Return the losses of `Classifier.loss` after the private layers, without λ.

        labels_B:  class of every row, or -1 for a row that has none at this level. Its loss and gradient are exactly 0.
                   If there are k times as many labels and weights as features, every row has k labels: the first of
                   all rows, then the second of all rows, …
        weights_B: weight of every row, by default 1/B; B counts the rows without a label too
        """
        inputs_BD = self.private(features_BD)
        if len(labels_B) > len(inputs_BD):
            inputs_BD = inputs_BD.repeat(len(labels_B) // len(inputs_BD), 1)
        if weights_B is None:
            weights_B = self.classifier.equal_weights(inputs_BD)
        has_label_B = labels_B >= 0
        loss, cross_entropy_B = self.classifier.loss(
            inputs_BD,
            torch.where(has_label_B, labels_B, _substitute_label(labels_B)),
            weights_B=torch.where(has_label_B, weights_B, 0),
            label_smoothing=label_smoothing,
            progress=progress,
        )
        return loss, torch.where(has_label_B, cross_entropy_B, 0)

    def scores(self, features_BD: Tensor, *, tau: float | None = None) -> Tensor:
        """Return unnormalised scores B×C; `tau` is that of `Classifier.adjusted_bias`."""
        return self.classifier.scores(self.private(features_BD), tau=tau)

    def top_k(
        self,
        features_BD: Tensor,
        k: int,
        *,
        tau: float | None = None,
        options: TopKOptions = BEST_ALONE,
    ) -> TopK:
        """Return the result of `Classifier.top_k` after the private layers; with k > C, that of all classes."""
        return self.classifier.top_k(
            self.private(features_BD), min(k, self.classifier.classes), tau=tau, options=options
        )


def _substitute_label(labels_B: Tensor) -> Tensor:
    """Return a class for the rows without a label: the largest label of the batch, or 0 if no row has one.

    A label of another row is active anyway if the classifier samples its classes, so the substitute adds none.
    """
    return F.pad(labels_B, (0, 1)).amax().clamp(min=0)


class AttributeHead(nn.Module):
    """The head of all attributes: a layer of M = Σ m_i nodes, then a layer of m_i nodes per attribute (S §3.4).

    The ReLU between the two layers is a guess; without it they would be a single linear layer.

    columns: columns of the attributes in `Batch.attributes_BA`
    weights: γ_j of S eq. 7, one per attribute
    weight:  λ of the whole head in S eq. 5
    """

    def __init__(
        self,
        features: int,
        attributes: Sequence[Attribute],
        columns: Sequence[int],
        *,
        weights: Sequence[float],
        weight: float,
    ) -> None:
        super().__init__()
        self.names = tuple(attribute.name for attribute in attributes)
        self.columns = tuple(columns)
        self.attribute_weights = tuple(weights)
        self.weight = weight
        states = [len(attribute.states) for attribute in attributes]
        self.together = nn.Sequential(nn.Linear(features, sum(states)), nn.ReLU())
        self.each = nn.ModuleList(nn.Linear(sum(states), m) for m in states)

    def loss(
        self, features_BD: Tensor, codes_BA: Tensor, *, n: int | None = None, weights_B: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of S eq. 7 over n rows, and by attribute its detached term without γ.

            L = 1/n Σ_i Σ_j [c_ij ≠ 0] γ_j CE(scores_ij, c_ij − 1)

        codes_BA: the codes c of all attributes of the dataset; 0 is absent, else 1 + the state
        n: number of rows over all ranks, with and without attributes; by default the rows of this batch
        weights_B: factor of the loss of every row; None is 1
        """
        n = len(codes_BA) if n is None else n
        total, terms = features_BD.new_zeros(()), {}
        hidden_BM = self.together(features_BD)
        for name, column, gamma, layer in zip(self.names, self.columns, self.attribute_weights, self.each, strict=True):
            scores_Bm = at_least_float32(layer(hidden_BM))
            summed = _sum_of_cross_entropies(scores_Bm, codes_BA[:, column] - 1, weights_B)
            terms[name] = (summed / n).detach()
            total = total + gamma * summed / n
        return total, terms

    def scores(self, features_BD: Tensor) -> dict[str, Tensor]:
        """Return by attribute the unnormalised scores of its states, B×m, at least float32.

        Column s belongs to state s, whose code is s + 1.
        """
        with torch.autocast(features_BD.device.type, enabled=False):
            hidden_BM = self.together(at_least_float32(features_BD))
            return {name: layer(hidden_BM) for name, layer in zip(self.names, self.each, strict=True)}


def _sum_of_cross_entropies(scores_Bm: Tensor, states_B: Tensor, weights_B: Tensor | None) -> Tensor:
    """Return Σ_i w_i · CE_i over the rows whose state is not -1."""
    if weights_B is None:
        return F.cross_entropy(scores_Bm, states_B, ignore_index=-1, reduction="sum")
    return (weights_B * F.cross_entropy(scores_Bm, states_B, ignore_index=-1, reduction="none")).sum()
