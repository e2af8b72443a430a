"""Builds a network from its settings, for the classes, attributes and words of a dataset or of a saved run.

Shapes: B rows, D feature, C classes of a level, E word vector, V words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.models.attention import SpatialAttention
from prodrec.models.backbone import Backbone
from prodrec.models.backbones import build_backbone, set_constants
from prodrec.models.build_heads import build_attribute_head, build_level_heads, build_word_head, check_train_images
from prodrec.models.low_rank import add_adapters, has_adapters
from prodrec.models.mixing import build_mixing
from prodrec.models.network import RecognitionNetwork
from prodrec.models.network_config import NetworkConfig
from prodrec.models.pretrained import load_weights_into
from prodrec.models.tasks import choose_tasks
from prodrec.models.title_encoders import TITLE_ENCODERS, TfIdfSum
from prodrec.models.word_targets import WordTargets

RANDOM_WORD_DIMENSION = 100
"""Default width of random word vectors."""


@dataclass(frozen=True, eq=False)
class TitleCounts:
    """titles_V: number of training titles with each word, row 0 for padding. titles: number of training titles."""

    titles_V: NDArray[np.int64]
    titles: int


def build_network(
    config: NetworkConfig,
    *,
    taxonomy: Taxonomy,
    attributes: Sequence[Attribute] = (),
    words: int = 0,
    word_vectors_VE: NDArray[np.float32] | None = None,
    word_targets: WordTargets | None = None,
    title_counts: TitleCounts | None = None,
    train_images: Mapping[str, NDArray[np.int64]] | None = None,
    photo_size: tuple[int, int] | None = None,
    feature_width: int | None = None,
    load_weights: bool = True,
    adapters: bool = True,
    sharded: bool | None = None,
) -> RecognitionNetwork:
    """Return the network that `config` describes, for a dataset. Random weights come from torch's global generator.

    attributes:      all attributes of the dataset
    words:           size of the vocabulary; word ids are 1..words
    word_vectors_VE: pretrained vectors, row i - 1 for word i; ignored with word_vectors=random
    word_targets:    the words to predict; needed with heads=leaf,words
    title_counts:    the training titles with each word; needed to train with titles=tfidf
    train_images:    number of training images of every class, by level; needed to train with logit_adjustment,
                     class_weights or ldam_margin
    photo_size:      (height, width) in pixels. If given, the backbone must accept photos of this size. Spatial
                     attention needs it, because its template has the size of the feature map
    feature_width:   width of the feature vectors, for datasets that have them instead of photos
    load_weights:    False reads no weights file, as for a saved network (see `restore_network`)
    adapters:        with lora_rank: False builds a network without adapters, as that of a finished run
    sharded:         whether the deepest level's classes are divided among the ranks; None decides by `config`

    Raise BadOption for settings that do not fit the dataset, Mismatch if the number of word vectors is not `words`, and
    the errors of `build_backbone`.
    """
    check_train_images(config, train_images, load_weights=load_weights)
    tasks = choose_tasks(config, taxonomy, attributes)
    backbone = _backbone(config, photo_size, feature_width, load_weights=load_weights, adapters=adapters)
    attention = None
    if config.attention is not None:
        assert photo_size is not None, "the template of the attention has the size of a feature map"
        maps, *grid = backbone.map_shape(*photo_size, at=config.attention_at)
        attention = SpatialAttention(maps, (grid[0], grid[1]), init_std=config.attention_spread)
    embed, width = _embed(config, backbone.width)
    word_vectors = _word_vectors(config, words, word_vectors_VE, width) if config.titles else None
    title_encoder = None
    if word_vectors is not None and config.titles:
        title_encoder = TITLE_ENCODERS[config.titles](word_vectors.embedding_dim, width, config)
        if isinstance(title_encoder, TfIdfSum):
            counts = title_counts or TitleCounts(np.zeros(words + 1, np.int64), 0)  # a restored network has its own
            title_encoder.set_title_counts(torch.as_tensor(counts.titles_V), counts.titles)
    return RecognitionNetwork(
        config,
        backbone=backbone,
        attention=attention,
        embed=embed,
        word_vectors=word_vectors,
        title_encoder=title_encoder,
        mixing=None if title_encoder is None else build_mixing(config.mixing, width),
        heads=build_level_heads(config, tasks, backbone, width, taxonomy, train_images, sharded=sharded),
        attribute_head=build_attribute_head(tasks, width),
        word_head=build_word_head(config, tasks, backbone.width, word_targets),
    )


def restore_network(
    config: NetworkConfig,
    weights: Mapping[str, Tensor],
    *,
    taxonomy: Taxonomy,
    attributes: Sequence[Attribute] = (),
    photo_size: tuple[int, int] | None = None,
    feature_width: int | None = None,
    sharded: bool = False,
) -> RecognitionNetwork:
    """Return a saved network with `weights`, its state dict; other arguments are those of `build_network`.

    The parameters are the tensors of `weights` themselves; those mapped from a file are read only when they are used.
    The saved word vectors determine the number of words and their dimension.

    Raise Mismatch if `weights` are not those of a network of `config`.
    """
    saved_vectors = weights.get("word_vectors.weight")
    if config.titles and saved_vectors is None:
        raise Mismatch(f"the saved network has no word vectors, its recipe has titles={config.titles}.")
    vectors_VE = None
    if saved_vectors is not None:
        rows, dimension = saved_vectors.shape  # the first row is padding
        vectors_VE = np.empty((rows - 1, dimension), np.float32)
    with torch.device("meta"):  # shapes without memory
        network = build_network(
            config,
            taxonomy=taxonomy,
            attributes=attributes,
            words=0 if vectors_VE is None else len(vectors_VE),
            word_vectors_VE=vectors_VE,
            word_targets=_saved_word_targets(weights),
            photo_size=photo_size,
            feature_width=feature_width,
            load_weights=False,
            adapters=has_adapters(weights),
            sharded=sharded,
        )
    local_weights = dict(weights)
    for name, shard in network.shards().items():
        if name in weights:
            local_weights[name] = weights[name][shard.first :][: len(network.get_parameter(name))]
    load_weights_into(network, local_weights, mismatch="the saved weights do not fit their recipe", assign=True)
    set_constants(network)
    assert not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    return network


def _backbone(
    config: NetworkConfig,
    photo_size: tuple[int, int] | None,
    feature_width: int | None,
    *,
    load_weights: bool,
    adapters: bool,
) -> Backbone:
    backbone = build_backbone(
        config.backbone,
        weights=config.weights,
        load_weights=load_weights,
        feature_width=feature_width,
        photo_size=photo_size,
    )
    if config.freeze_batch_norm:
        backbone.freeze_batch_norm(affine=config.train_batch_norm_affine)
    if config.freeze_until is not None:
        backbone.freeze_until(config.freeze_until)
    if config.lora_rank is not None and adapters:
        add_adapters(backbone, rank=config.lora_rank, alpha=config.lora_alpha)
    if config.dropout is not None:
        backbone.replace_dropout(config.dropout)
    if photo_size is not None and feature_width is None:
        backbone.check_photo_size(*photo_size)
    return backbone


def _saved_word_targets(weights: Mapping[str, Tensor]) -> WordTargets | None:
    """Return word targets of the sizes in `weights`, the state dict of a network; None if it predicts no words."""
    if "word_head.weights_W" not in weights:
        return None
    sizes = [len(weights[f"word_head.{name}"]) for name in ("target_of_word", "weights_W")]
    return WordTargets(np.empty(sizes[0], np.int64), np.empty(sizes[1], np.float32))


def _embed(config: NetworkConfig, width: int) -> tuple[nn.Module, int]:
    """Return the layers between the neck and the visual feature, and the width of the visual feature.

    Each layer has a ReLU, because mixing by maximum is meant for features ≥ 0.
    """
    layers: list[nn.Module] = []
    for layer_width in (config.embed_hidden, config.embed):
        if layer_width is not None:
            layers += [nn.Linear(width, layer_width), nn.ReLU()]
            width = layer_width
    return nn.Sequential(*layers), width


def _word_vectors(
    config: NetworkConfig, words: int, vectors_VE: NDArray[np.float32] | None, width: int
) -> nn.Embedding:
    """Return the table of word vectors: row 0 is padding and remains zero, row i is word i.

    width: that of the visual feature, and of vectors that start at zero unless word_dimension is set

    Random vectors have a mean length of about 1. Pretrained ones are scaled by one factor to a mean length of 1, which
    keeps their geometry. Learning rates and bilinear forms then have the same effect with either.

    Raise BadOption if the dataset has no words or no pretrained vectors, Mismatch if their numbers differ.
    """
    if words < 1:
        raise BadOption(f"titles={config.titles} needs titles, and this dataset has no words; use titles=none.")
    if torch.get_default_device().type == "meta" and vectors_VE is not None:
        initial_VE = torch.empty(vectors_VE.shape)
    elif config.word_vectors == "zero":
        initial_VE = torch.zeros(words, config.word_dimension or width)
    elif config.word_vectors == "random":
        dimension = config.word_dimension or RANDOM_WORD_DIMENSION
        initial_VE = torch.randn(words, dimension) / dimension**0.5
    elif vectors_VE is None:
        raise BadOption("word_vectors=pretrained, and this dataset has no embeddings: run prodrec pretrain-embeddings.")
    elif len(vectors_VE) != words:
        raise Mismatch(f"the embeddings have {len(vectors_VE)} words and the vocabulary {words}; make them again.")
    else:
        initial_VE = torch.as_tensor(np.array(vectors_VE, dtype=np.float32))
        lengths_V = initial_VE.norm(dim=1)
        has_vector_V = lengths_V > 0
        initial_VE = initial_VE / (lengths_V[has_vector_V].mean() if has_vector_V.any() else 1.0)
    table = nn.Embedding(words + 1, initial_VE.shape[1], padding_idx=0)
    with torch.no_grad():
        table.weight[0] = 0
        table.weight[1:] = initial_VE
    table.weight.requires_grad_(config.train_word_vectors)
    return table
