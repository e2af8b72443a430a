"""The private layers of multi-task learning (S §3.4, fig. 4): one branch a level, and one for all attributes.

Shapes: B rows, D shared features, C classes of a level, A attributes, M states of all attributes, m of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.errors import BadOption, nearest
from prodrec.core.taxonomy import Attribute, Taxonomy
from prodrec.models.classifier import DenseClassifier
from prodrec.models.network_config import PAPER_ATTRIBUTE_WEIGHTS, PAPER_HEAD_WEIGHTS, NetworkConfig

OTHERS = "others"


class LevelHead(nn.Module):
    """The branch of one level: private layers (none for most backbones), then its classifier.

    column: of the level among a batch's labels; weight: its λ of S eq. 5.
    """

    def __init__(
        self, level: str, column: int, private: nn.Module, classifier: DenseClassifier, *, weight: float
    ) -> None:
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
        """As `DenseClassifier.loss`, behind the private layers; λ is not in it."""
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

    def loss(self, features_BD: Tensor, states_BA: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """S eq. 7: 1/N Σ_n Σ_j S(y_nj ≠ 0) γ_j CE_nj, without λ; and, detached, 1/N Σ_n S(·) CE_nj by attribute.

        states_BA: the codes of all attributes of the dataset, 0 = absent. N counts the rows of the batch, labelled or
        not; a batch in which no row has an attribute adds exactly 0.
        """
        total, parts = features_BD.new_zeros(()), {}
        shared_BM = self.together(features_BD)
        for name, column, gamma, layer in zip(self.names, self.columns, self.attribute_weights, self.each, strict=True):
            scores_Bm = layer(shared_BM).float() if shared_BM.dtype is not torch.float64 else layer(shared_BM)
            found = F.cross_entropy(scores_Bm, states_BA[:, column] - 1, ignore_index=-1, reduction="sum")
            parts[name] = (found / len(states_BA)).detach()
            total = total + gamma * found / len(states_BA)
        return total, parts

    def scores(self, features_BD: Tensor) -> dict[str, Tensor]:
        """Unnormalised scores B×m of the states of every attribute, by its name; column s is state s (code s + 1)."""
        with torch.autocast(features_BD.device.type, enabled=False):
            shared_BM = self.together(features_BD.float() if features_BD.dtype is torch.bfloat16 else features_BD)
            return {name: layer(shared_BM) for name, layer in zip(self.names, self.each, strict=True)}


@dataclass(frozen=True)
class Tasks:
    """What a network predicts: levels from the shallowest, with their λ; attributes, their columns and γ_j."""

    levels: tuple[str, ...]
    level_weights: tuple[float, ...]
    attributes: tuple[Attribute, ...] = ()
    columns: tuple[int, ...] = ()
    attribute_weights: tuple[float, ...] = ()
    branch_weight: float = 1.0


def choose_tasks(config: NetworkConfig, taxonomy: Taxonomy, attributes: Sequence[Attribute]) -> Tasks:
    """The tasks that `heads`, `attributes` and their weights name on this catalogue. Raises BadOption."""
    words = _words(taxonomy)
    levels: set[str] = set()
    for word in config.heads:
        if word not in words and word != "attributes":
            raise BadOption(
                f"heads={','.join(config.heads)}: the catalogue has no level {word!r}{nearest(word, words)}; "
                f"its levels are {', '.join(taxonomy.levels)}."
            )
        levels.update(words.get(word, ()))
    if {"root", "leaf"} <= set(config.heads) and words["root"] == words["leaf"]:
        raise BadOption(f"heads={','.join(config.heads)}: the classes have one level only ({taxonomy.leaf_level}).")
    chosen = tuple(level for level in taxonomy.levels if level in levels)
    named = {level: weight for word, weight in config.head_weights.items() for level in words.get(word, ())}
    for word in config.head_weights:
        known = "attributes" in config.heads if word == "attributes" else set(words.get(word, ())) & levels
        if not known and word not in PAPER_HEAD_WEIGHTS:
            heads = [*chosen, *(["attributes"] if "attributes" in config.heads else [])]
            raise BadOption(f"head_weights: there is no head {word!r}; this network has {', '.join(heads)}.")
    weights = tuple(named.get(level, 1.0) for level in chosen)
    if "attributes" not in config.heads:
        return Tasks(chosen, weights)
    columns = _columns(config, attributes)
    names = [attributes[column].name for column in columns]
    known = [attribute.name for attribute in attributes]
    for name in config.attribute_weights:
        if name not in known and name not in PAPER_ATTRIBUTE_WEIGHTS:
            raise BadOption(
                f"attribute_weights: {name!r} is no attribute of this dataset{nearest(name, known)}; it has "
                f"{', '.join(known)}, and {OTHERS} stands for those not named."
            )
    others = config.attribute_weights.get(OTHERS, 1.0)
    return Tasks(
        chosen,
        weights,
        attributes=tuple(attributes[column] for column in columns),
        columns=columns,
        attribute_weights=tuple(config.attribute_weights.get(name, others) for name in names),
        branch_weight=config.head_weights.get("attributes", 1.0),
    )


def _words(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """What a word of `heads` stands for; a level's own name comes before the words that every catalogue knows."""
    general = {"root": taxonomy.levels[:1], "leaf": taxonomy.levels[-1:], "levels": taxonomy.levels}
    return {**general, **{level: (level,) for level in taxonomy.levels}}


def _columns(config: NetworkConfig, attributes: Sequence[Attribute]) -> tuple[int, ...]:
    """Numbers of the attributes to predict."""
    names = [attribute.name for attribute in attributes]
    if not names:
        raise BadOption("heads has attributes, and this dataset has none; prepare it with --attributes.")
    if config.attributes == ("all",):
        return tuple(range(len(names)))
    for name in config.attributes:
        if name not in names:
            raise BadOption(
                f"attributes={','.join(config.attributes)}: {name!r} is no attribute of this dataset"
                f"{nearest(name, names)}; it has {', '.join(names)}."
            )
    return tuple(i for i, name in enumerate(names) if name in config.attributes)
