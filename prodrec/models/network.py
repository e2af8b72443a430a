"""The network of all model families, assembled from parts (DESIGN, "A family is a row").

    image_BCHW ─ trunk ─ [spatial attention] ─ neck ─ embed ─► visual_BD ┐
    tokens_BT ─ word vectors ─ title encoder ─► semantic_BD ─ max ─► mixed_BD ┴► head of the deepest level
    visual_BD ─ private heads ─► the other levels, attributes

Shapes: B rows, C channels or classes, H×W photo, T words, D feature, E word vector, V words, A attributes, K best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from prodrec.core.base.dist import Shard
from prodrec.core.base.errors import BadOption
from prodrec.models.attention import SpatialAttention
from prodrec.models.backbone import Backbone
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.heads import AttributeHead, LevelHead
from prodrec.models.network_config import NetworkConfig
from prodrec.models.title_encoders import Title, hide_titles, hide_words

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch


@dataclass(frozen=True)
class Losses:
    """total: scalar to run backward from; parts: its terms by name, detached and without their weights.

    visual, and mixed, of the deepest level; `level NAME` of the others; `attribute NAME`.
    """

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Scored:
    """features_BD float32; unnormalised scores, B×C of every level and B×m of every attribute that is predicted."""

    features_BD: Tensor
    scores: dict[str, Tensor]
    attribute_scores: dict[str, Tensor]


@dataclass(frozen=True)
class TopK:
    """As Scored, with scores B×K in decreasing order and classes B×K int64 of every level; attributes in full."""

    features_BD: Tensor
    scores: dict[str, Tensor]
    classes: dict[str, Tensor]
    attribute_scores: dict[str, Tensor]


class Streams(NamedTuple):
    """visual_BD, and for a network with titles mixed_BD and titled_B (False where a row has no words)."""

    visual_BD: Tensor
    mixed_BD: Tensor | None = None
    titled_B: Tensor | None = None


class RecognitionNetwork(nn.Module):
    """Photos and, while training, titles → scores of levels and attributes."""

    def __init__(
        self,
        config: NetworkConfig,
        *,
        backbone: Backbone,
        attention: SpatialAttention | None,
        embed: nn.Module,
        heads: Sequence[LevelHead],
        attribute_head: AttributeHead | None,
        word_vectors: nn.Embedding | None = None,
        title_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.attention = attention
        self.embed = embed
        self.word_vectors = word_vectors
        self.title_encoder = title_encoder
        self.heads = nn.ModuleDict({head.key: head for head in heads})
        self.attribute_head = attribute_head

    def forward(self, inputs: Tensor, tokens_BT: Tensor | None = None) -> Streams:
        """Both streams; tokens None (or a network without titles) leaves the visual one alone."""
        maps_BDHW = self.backbone.maps(inputs, then=self.attention, at=self.config.attention_at)
        visual_BD = self.embed(self.backbone.neck(maps_BDHW))
        if tokens_BT is None or self.title_encoder is None:
            return Streams(visual_BD)
        semantic_BD = self.encode_titles(tokens_BT).semantic_BD.to(visual_BD.dtype)
        titled_B = (tokens_BT != 0).any(1)
        beside_BD = visual_BD if self.config.mixed_trains_backbone else visual_BD.detach()
        mixed_BD = torch.where(titled_B.unsqueeze(1), torch.maximum(beside_BD, semantic_BD), beside_BD)
        return Streams(visual_BD, mixed_BD, titled_B)

    def encode_titles(self, tokens_BT: Tensor) -> Title:
        """The semantic feature of every title, and the weight of each of its words (0 for padding)."""
        assert self.word_vectors is not None and self.title_encoder is not None
        title: Title = self.title_encoder(self.word_vectors(tokens_BT), tokens_BT != 0)
        return title

    def saliency(self, images_BCHW: Tensor) -> Tensor:
        """The weight of every grid cell of the spatial attention, B×h×w (S fig. 2). Raises BadOption without one."""
        attention, found = self.attention, []
        if attention is None:
            raise BadOption("there is no spatial attention in this network; train one with --set attention=spatial.")

        def weigh(maps_BDHW: Tensor) -> Tensor:
            found.append(attention.weights(maps_BDHW))
            return maps_BDHW  # what follows does not matter

        self.backbone.maps(images_BCHW, then=weigh, at=self.config.attention_at)
        weights_BHW: Tensor = found[0]
        return weights_BHW

    @property
    def level_heads(self) -> list[LevelHead]:
        """The heads of the levels, the shallowest first."""
        return list(self.heads.values())  # type: ignore[arg-type]

    def classifiers(self) -> dict[str, Classifier]:
        """The classifier of every level by its name as a module."""
        return {f"heads.{key}.classifier": head.classifier for key, head in self.heads.items()}  # type: ignore[misc]

    def shards(self) -> dict[str, Shard]:
        """The parameters of which this rank holds some rows only, by name."""
        of_classifiers = {name: classifier.shard for name, classifier in self.classifiers().items()}
        return {
            f"{name}.{parameter}": shard
            for name, shard in of_classifiers.items()
            if shard is not None
            for parameter in ("weight", "bias")
        }

    def update_in_backward(self, optimizer: torch.optim.Optimizer) -> None:
        """Let backward update the classifiers whose whole gradient this rank sees, class by class."""
        trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for classifier in self.classifiers().values():
            if classifier.can_update_in_backward and id(classifier.weight) in trained:
                classifier.update_in_backward(optimizer)

    def loss(self, batch: Batch) -> Losses:
        """S eq. 5: L = Σ λ_i L_i, the loss of the deepest level being that of A eq. 1 where there are titles."""
        streams = self(batch.inputs, self._hide(batch.tokens_BT))
        total = batch.inputs.new_zeros(())
        parts: dict[str, Tensor] = {}
        for head in reversed(self.level_heads):
            labels_B = batch.labels_BL[:, head.column]
            deepest = not parts
            seen = streams if deepest else Streams(streams.visual_BD)
            found, named = self._level_loss(head, seen, labels_B, n=batch.in_all)
            total = total + head.weight * found
            parts |= named if deepest else {f"level {head.level}": named["visual"]}
        if self.attribute_head is not None:
            found, of_each = self.attribute_head.loss(streams.visual_BD, batch.attributes_BA, n=batch.in_all)
            total = total + self.attribute_head.weight * found
            parts |= {f"attribute {name}": part for name, part in of_each.items()}
        return Losses(total, parts)

    def _level_loss(
        self, head: LevelHead, streams: Streams, labels_B: Tensor, *, n: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A eq. 1: 1/N Σ CE(W visual_i, y_i) + λ · 1/N Σ CE(W mixed_i, y_i), with one classifier W.

        N is the rows of the batch, of all ranks, in both terms; a row without a title adds nothing to the second, so
        that term counts the less the fewer rows have titles.
        """
        visual_BD, mixed_BD, titled_B = streams
        smoothing = self.config.label_smoothing
        share_B = torch.full_like(visual_BD[:, 0], 1 / n, dtype=torch.promote_types(visual_BD.dtype, torch.float32))
        if mixed_BD is None or titled_B is None:
            total, _ = head.loss(visual_BD, labels_B, weights_B=share_B, label_smoothing=smoothing)
            return total, {"visual": total.detach()}
        b = len(labels_B)
        total, each_2B = head.loss(
            torch.cat([visual_BD, mixed_BD]),
            torch.cat([labels_B, labels_B]),
            weights_B=torch.cat([share_B, self.config.title_loss_weight * share_B * titled_B]),
            label_smoothing=smoothing,
        )
        return total, {"visual": each_2B[:b].sum() / n, "mixed": (each_2B[b:] * titled_B).sum() / n}

    def _hide(self, tokens_BT: Tensor) -> Tensor:
        if self.training and self.config.word_dropout:
            tokens_BT = hide_words(tokens_BT, self.config.word_dropout)
        if self.training and self.config.title_dropout:
            tokens_BT = hide_titles(tokens_BT, self.config.title_dropout)
        return tokens_BT

    def streams(self, batch: Batch, *, with_titles: bool = False) -> Streams:
        """The streams: visual alone, or with mixed where that is asked for."""
        if with_titles and self.title_encoder is None:
            raise BadOption("scoring with titles needs a network with titles (family sicot); this one has photos only.")
        streams: Streams = self(batch.inputs, batch.tokens_BT if with_titles else None)
        return streams

    def score(self, batch: Batch, *, with_titles: bool = False) -> Scored:
        """Features and unnormalised scores. Raises BadOption for titles where there is no title part.

        With titles the deepest level is scored from the mixed feature (visual where a row has no title).
        """
        streams = self.streams(batch, with_titles=with_titles)
        scores = {head.level: head.scores(features_BD) for head, features_BD in self._inputs(streams)}
        return Scored(_leading(streams).float(), scores, self._attribute_scores(streams))

    def top_k(self, batch: Batch, k: int, *, with_titles: bool = False) -> TopK:
        """Features, and the k largest scores of every level (all of them where a level has fewer classes)."""
        streams = self.streams(batch, with_titles=with_titles)
        best = {head.level: head.top_k(features_BD, k) for head, features_BD in self._inputs(streams)}
        return TopK(
            _leading(streams).float(),
            {level: scores_BK for level, (scores_BK, _) in best.items()},
            {level: classes_BK for level, (_, classes_BK) in best.items()},
            self._attribute_scores(streams),
        )

    def _inputs(self, streams: Streams) -> list[tuple[LevelHead, Tensor]]:
        """Every level's head with the feature that it scores: the deepest the mixed one, where there is any."""
        heads = self.level_heads
        return [(head, _leading(streams) if head is heads[-1] else streams.visual_BD) for head in heads]

    def _attribute_scores(self, streams: Streams) -> dict[str, Tensor]:
        return {} if self.attribute_head is None else self.attribute_head.scores(streams.visual_BD)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by part (backbone, attention, embed, word_vectors, …, heads), without empty ones."""
        groups = {
            name: [parameter for parameter in part.parameters() if parameter.requires_grad]
            for name, part in self.named_children()
        }
        return {name: parameters for name, parameters in groups.items() if parameters}


def _leading(streams: Streams) -> Tensor:
    return streams.visual_BD if streams.mixed_BD is None else streams.mixed_BD
