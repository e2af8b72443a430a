"""The network of all model families, assembled from parts (DESIGN, "A family is a row").

    image_BCHW ─ backbone ─ embed ─► visual_BD ┐
    tokens_BT ─ word vectors ─ title encoder ─► semantic_BD ─ max ─► mixed_BD ┴► one leaf classifier

Shapes: B rows, C channels or classes, H×W photo, T words, D feature, E word vector, V words, K best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prodrec.core.errors import BadOption, Mismatch
from prodrec.core.taxonomy import Taxonomy
from prodrec.models.backbones import Backbone, build_backbone
from prodrec.models.classifier import DenseClassifier
from prodrec.models.network_config import NetworkConfig
from prodrec.models.pretrained import load_matching
from prodrec.models.title_encoders import TITLE_ENCODERS, Title, hide_titles, hide_words

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch

RANDOM_WORD_DIMENSION = 100


@dataclass(frozen=True)
class Losses:
    """total: scalar to run backward from; parts: its terms by name, detached (visual, and mixed without its λ)."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Scored:
    """features_BD float32, and unnormalised scores B×C of every level that the network has, by the level's name."""

    features_BD: Tensor
    scores: dict[str, Tensor]


@dataclass(frozen=True)
class TopK:
    """features_BD float32; scores B×K in decreasing order and classes B×K int64 of every level, by its name."""

    features_BD: Tensor
    scores: dict[str, Tensor]
    classes: dict[str, Tensor]


class Streams(NamedTuple):
    """visual_BD, and for a network with titles mixed_BD and titled_B (False where a row has no words)."""

    visual_BD: Tensor
    mixed_BD: Tensor | None = None
    titled_B: Tensor | None = None


class Recognizer(nn.Module):
    """Photos and, while training, titles → scores of the leaves."""

    def __init__(
        self,
        config: NetworkConfig,
        *,
        leaf_level: str,
        backbone: Backbone,
        embed: nn.Module,
        classifier: DenseClassifier,
        word_vectors: nn.Embedding | None = None,
        title_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.leaf_level = leaf_level
        self.backbone = backbone
        self.embed = embed
        self.word_vectors = word_vectors
        self.title_encoder = title_encoder
        self.classifier = classifier

    def forward(self, images_BCHW: Tensor, tokens_BT: Tensor | None = None) -> Streams:
        """Both streams; tokens None (or a network without titles) leaves the visual one alone."""
        maps_BDHW = self.backbone.maps(images_BCHW)
        visual_BD = self.embed(self.backbone.neck(maps_BDHW))
        if tokens_BT is None or self.title_encoder is None:
            return Streams(visual_BD)
        semantic_BD = self.read(tokens_BT).semantic_BD.to(visual_BD.dtype)
        titled_B = (tokens_BT != 0).any(1)
        beside_BD = visual_BD if self.config.mixed_trains_backbone else visual_BD.detach()
        mixed_BD = torch.where(titled_B.unsqueeze(1), torch.maximum(beside_BD, semantic_BD), beside_BD)
        return Streams(visual_BD, mixed_BD, titled_B)

    def read(self, tokens_BT: Tensor) -> Title:
        """The semantic feature of every title, and the weight of each of its words (0 for padding)."""
        assert self.word_vectors is not None and self.title_encoder is not None
        title: Title = self.title_encoder(self.word_vectors(tokens_BT), tokens_BT != 0)
        return title

    def loss(self, batch: Batch, *, title_loss_weight: float | None = None) -> Losses:
        """A eq. 1: 1/N Σ CE(W visual_i, y_i) + λ · 1/N Σ CE(W mixed_i, y_i), with one classifier W.

        N is the rows of the batch in both terms; a row without a title adds nothing to the second, so that term counts
        the less the fewer rows have titles. `title_loss_weight` replaces λ for this call (a loop may warm it up).
        """
        labels_B = batch.labels_BL[:, -1]
        visual_BD, mixed_BD, titled_B = self(batch.images_BCHW, self._hide(batch.tokens_BT))
        smoothing = self.config.label_smoothing
        if mixed_BD is None or titled_B is None:
            total, _ = self.classifier.loss(visual_BD, labels_B, label_smoothing=smoothing)
            return Losses(total, {"visual": total.detach()})
        weight = self.config.title_loss_weight if title_loss_weight is None else title_loss_weight
        n = len(labels_B)
        share_B = torch.full_like(visual_BD[:, 0], 1 / n, dtype=torch.promote_types(visual_BD.dtype, torch.float32))
        total, each_2B = self.classifier.loss(
            torch.cat([visual_BD, mixed_BD]),
            torch.cat([labels_B, labels_B]),
            weights_B=torch.cat([share_B, weight * share_B * titled_B]),
            label_smoothing=smoothing,
        )
        return Losses(total, {"visual": each_2B[:n].mean(), "mixed": (each_2B[n:] * titled_B).mean()})

    def _hide(self, tokens_BT: Tensor) -> Tensor:
        if self.training and self.config.word_dropout:
            tokens_BT = hide_words(tokens_BT, self.config.word_dropout)
        if self.training and self.config.title_dropout:
            tokens_BT = hide_titles(tokens_BT, self.config.title_dropout)
        return tokens_BT

    def features(self, batch: Batch, *, with_titles: bool = False) -> Tensor:
        """The feature that is classified: visual, or mixed where asked for and where the row has a title."""
        if not with_titles:
            return self(batch.images_BCHW).visual_BD  # type: ignore[no-any-return]
        if self.title_encoder is None:
            raise BadOption("scoring with titles needs a network with titles (family sicot); this one has photos only.")
        mixed_BD: Tensor = self(batch.images_BCHW, batch.tokens_BT).mixed_BD
        return mixed_BD

    def score(self, batch: Batch, *, with_titles: bool = False) -> Scored:
        """Features and unnormalised scores of every level. Raises BadOption for titles where there is no title part."""
        features_BD = self.features(batch, with_titles=with_titles)
        return Scored(features_BD.float(), {self.leaf_level: self.classifier.scores(features_BD)})

    def top_k(self, batch: Batch, k: int, *, with_titles: bool = False) -> TopK:
        """Features, and the k largest scores of every level (all of them where a level has fewer classes)."""
        features_BD = self.features(batch, with_titles=with_titles)
        scores_BK, classes_BK = self.classifier.top_k(features_BD, min(k, len(self.classifier.bias)))
        return TopK(features_BD.float(), {self.leaf_level: scores_BK}, {self.leaf_level: classes_BK})

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by part: backbone, embed, word_vectors, title_encoder, classifier (no empty ones)."""
        groups = {
            name: [parameter for parameter in part.parameters() if parameter.requires_grad]
            for name, part in self.named_children()
        }
        return {name: parameters for name, parameters in groups.items() if parameters}


def build(
    config: NetworkConfig,
    *,
    taxonomy: Taxonomy,
    words: int = 0,
    word_vectors_VE: NDArray[np.float32] | None = None,
    train_images: NDArray[np.int64] | None = None,
    photo_size: tuple[int, int] | None = None,
    load_weights: bool = True,
) -> Recognizer:
    """The network of `config` for the classes of `taxonomy` and a vocabulary of `words` words (ids 1..words).

    Random starts come from torch's global generator. `train_images` of every leaf are needed to train with
    logit_adjustment. A `photo_size` (height, width) is tried on the backbone. With load_weights=False no weights file
    is read (a saved network brings its own; see `restore`).
    Raises BadOption for settings that do not fit the data, and what `build_backbone` raises.
    """
    if config.logit_adjustment and train_images is None and load_weights:
        raise BadOption(f"logit_adjustment={config.logit_adjustment} needs the training images of every leaf.")
    backbone = build_backbone(config.backbone, weights=config.weights, load_weights=load_weights)
    if config.freeze_batch_norm:
        backbone.freeze_batch_norm(affine=config.train_batch_norm_affine)
    if config.dropout is not None:
        backbone.replace_dropout(config.dropout)
    if photo_size is not None:
        backbone.check_photo_size(*photo_size)
    embed, width = _embed(config, backbone.width)
    word_vectors = _word_vectors(config, words, word_vectors_VE) if config.titles else None
    title_encoder = None
    if word_vectors is not None and config.titles:
        title_encoder = TITLE_ENCODERS[config.titles](word_vectors.embedding_dim, width, config)
    return Recognizer(
        config,
        leaf_level=taxonomy.leaf_level,
        backbone=backbone,
        embed=embed,
        word_vectors=word_vectors,
        title_encoder=title_encoder,
        classifier=DenseClassifier(
            width,
            len(taxonomy.leaves),
            logit_adjustment=config.logit_adjustment,
            train_images_C=None if train_images is None else torch.as_tensor(np.asarray(train_images)),
        ),
    )


def restore(
    config: NetworkConfig,
    weights: Mapping[str, Tensor],
    *,
    taxonomy: Taxonomy,
    train_images: NDArray[np.int64] | None = None,
) -> Recognizer:
    """A saved network: `build` without reading any other file, then `weights` (its state dict), every key of it.

    Words and their dimension are those of the saved word vectors. Raises Mismatch where weights and config differ.
    """
    saved = weights.get("word_vectors.weight")
    vectors_VE = np.zeros((saved.shape[0] - 1, saved.shape[1]), np.float32) if saved is not None else None
    if config.titles and saved is None:
        raise Mismatch(f"the saved network has no word vectors, its recipe has titles={config.titles}.")
    words = 0 if vectors_VE is None else len(vectors_VE)
    options: dict[str, Any] = {"taxonomy": taxonomy, "words": words, "train_images": train_images}
    network = build(config, word_vectors_VE=vectors_VE, load_weights=False, **options)
    load_matching(network, weights, optional=(), origin="the saved weights do not fit their recipe")
    return network


def _embed(config: NetworkConfig, width: int) -> tuple[nn.Module, int]:
    """The layers between backbone and visual feature, each with a ReLU: mixing by maximum wants features ≥ 0."""
    layers: list[nn.Module] = []
    for out in (config.embed_hidden, config.embed):
        if out is not None:
            layers += [nn.Linear(width, out), nn.ReLU()]
            width = out
    return nn.Sequential(*layers), width


def _word_vectors(config: NetworkConfig, words: int, vectors_VE: NDArray[np.float32] | None) -> nn.Embedding:
    """Row 0 is padding and stays zero, row i is word i.

    Random vectors have length 1 on average, and pretrained ones are scaled by one factor to the same average: their
    geometry stays, and learning rates and the bilinear forms mean the same whatever made them.
    """
    if words < 1:
        raise BadOption(f"titles={config.titles} needs titles, and this dataset has no words; use titles=none.")
    if config.word_vectors == "random":
        dimension = config.word_dimension or RANDOM_WORD_DIMENSION
        start_VE = torch.randn(words, dimension) / dimension**0.5
    elif vectors_VE is None:
        raise BadOption("word_vectors=pretrained, and this dataset has no embeddings: run prodrec pretrain-embeddings.")
    elif len(vectors_VE) != words:
        raise Mismatch(f"the embeddings have {len(vectors_VE)} words and the vocabulary {words}; make them again.")
    else:
        start_VE = torch.as_tensor(np.array(vectors_VE, dtype=np.float32))
        lengths_V = start_VE.norm(dim=1)
        known_V = lengths_V > 0
        start_VE = start_VE / (lengths_V[known_V].mean() if known_V.any() else 1.0)
    table = nn.Embedding(words + 1, start_VE.shape[1], padding_idx=0)
    with torch.no_grad():
        table.weight[0] = 0
        table.weight[1:] = start_VE
    table.weight.requires_grad_(config.train_word_vectors)
    return table
