"""Puts a network together: parts of its config, for the classes, attributes and words of a dataset or of a saved run.

Shapes: B rows, D feature, E word vector, V words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.models.attention import SpatialAttention
from prodrec.models.backbone import Backbone
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.heads import AttributeHead, LevelHead
from prodrec.models.network import RecognitionNetwork
from prodrec.models.network_config import NetworkConfig
from prodrec.models.pretrained import load_matching
from prodrec.models.tasks import Tasks, choose_tasks
from prodrec.models.title_encoders import TITLE_ENCODERS
from prodrec.models.torchvision_backbones import RescaleChannels, build_backbone

RANDOM_WORD_DIMENSION = 100


def build_network(
    config: NetworkConfig,
    *,
    taxonomy: Taxonomy,
    attributes: Sequence[Attribute] = (),
    words: int = 0,
    word_vectors_VE: NDArray[np.float32] | None = None,
    train_images: NDArray[np.int64] | None = None,
    photo_size: tuple[int, int] | None = None,
    feature_width: int | None = None,
    load_weights: bool = True,
    sharded: bool | None = None,
) -> RecognitionNetwork:
    """The network of `config` for the classes of `taxonomy` and a vocabulary of `words` words (ids 1..words).

    Random starts come from torch's global generator. attributes: all of the dataset's; train_images: of every leaf,
    needed to train with logit_adjustment; photo_size: (height, width), tried on the backbone, and needed for spatial
    attention, whose template has the size of the feature map; feature_width: of the vectors that stand in place of
    photos, where the dataset holds such. With load_weights=False no weights file is read (a saved network brings its
    own; see `restore_network`). sharded: whether each rank holds a part of the deepest level; None: as `config` says.
    Raises BadOption for settings that do not fit the data, and what `build_backbone` raises.
    """
    if config.logit_adjustment and train_images is None and load_weights:
        raise BadOption(f"logit_adjustment={config.logit_adjustment} needs the training images of every leaf.")
    tasks = choose_tasks(config, taxonomy, attributes)
    backbone = _backbone(config, photo_size, feature_width, load_weights=load_weights)
    attention = None
    if config.attention is not None:
        assert photo_size is not None, "the template of the attention has the size of a feature map"
        maps, *grid = backbone.map_shape(*photo_size, at=config.attention_at)
        attention = SpatialAttention(maps, (grid[0], grid[1]), spread=config.attention_spread)
    embed, width = _embed(config, backbone.width)
    word_vectors = _word_vectors(config, words, word_vectors_VE) if config.titles else None
    title_encoder = None
    if word_vectors is not None and config.titles:
        title_encoder = TITLE_ENCODERS[config.titles](word_vectors.embedding_dim, width, config)
    return RecognitionNetwork(
        config,
        backbone=backbone,
        attention=attention,
        embed=embed,
        word_vectors=word_vectors,
        title_encoder=title_encoder,
        heads=_level_heads(config, tasks, backbone, width, taxonomy, train_images, sharded=sharded),
        attribute_head=_attribute_head(tasks, width),
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
    """Build a saved network without reading any other file, and give it `weights`, its state dict.

    The network takes the tensors of `weights` themselves, so that those mapped from a file are read when they are used
    and not before. sharded: every rank holds its part of the deepest level's classes, whatever the recipe says. Words
    and their dimension are those of the saved word vectors. Raises Mismatch where weights and config differ.
    """
    saved = weights.get("word_vectors.weight")
    vectors_VE = np.empty((saved.shape[0] - 1, saved.shape[1]), np.float32) if saved is not None else None
    if config.titles and saved is None:
        raise Mismatch(f"the saved network has no word vectors, its recipe has titles={config.titles}.")
    with torch.device("meta"):  # shapes without memory
        network = build_network(
            config,
            taxonomy=taxonomy,
            attributes=attributes,
            words=0 if vectors_VE is None else len(vectors_VE),
            word_vectors_VE=vectors_VE,
            photo_size=photo_size,
            feature_width=feature_width,
            load_weights=False,
            sharded=sharded,
        )
    mine = dict(weights)
    for name, shard in network.shards().items():
        if name in weights:
            mine[name] = weights[name][shard.first :][: len(network.get_parameter(name))]
    load_matching(network, mine, optional=(), origin="the saved weights do not fit their recipe", take=True)
    for module in network.modules():
        if isinstance(module, RescaleChannels):
            module.fill()
    assert not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    return network


def _backbone(
    config: NetworkConfig, photo_size: tuple[int, int] | None, feature_width: int | None, *, load_weights: bool
) -> Backbone:
    backbone = build_backbone(
        config.backbone, weights=config.weights, load_weights=load_weights, feature_width=feature_width
    )
    if config.freeze_batch_norm:
        backbone.freeze_batch_norm(affine=config.train_batch_norm_affine)
    if config.freeze_until is not None:
        backbone.freeze_until(config.freeze_until)
    if config.dropout is not None:
        backbone.replace_dropout(config.dropout)
    if photo_size is not None and feature_width is None:
        backbone.check_photo_size(*photo_size)
    return backbone


def _level_heads(
    config: NetworkConfig,
    tasks: Tasks,
    backbone: Backbone,
    width: int,
    taxonomy: Taxonomy,
    train_images: NDArray[np.int64] | None,
    *,
    sharded: bool | None,
) -> list[LevelHead]:
    heads = []
    for level, weight in zip(tasks.levels, tasks.level_weights, strict=True):
        column, classes = taxonomy.levels.index(level), taxonomy.count(level)
        images_C = None
        if train_images is not None:
            of_leaf = taxonomy.ancestors()[:, column]
            images_C = torch.from_numpy(np.bincount(of_leaf, np.asarray(train_images), minlength=classes))
        private, features = backbone.private_layers(width, config.private_width, dropout=config.dropout)
        deepest = level == tasks.levels[-1]
        sampled = config.classifier == "sampled" and deepest
        as_set = _is_sharded(config, features * classes, deepest=deepest)
        classifier = Classifier(
            features,
            classes,
            sharded=as_set if sharded is None else sharded and deepest,
            sample_share=config.sample_share if sampled else 1.0,
            buffer_gib=config.score_buffer,
            logit_adjustment=config.logit_adjustment,
            train_images_C=images_C,
        )
        heads.append(LevelHead(level, column, private, classifier, weight=weight))
    return heads


SHARDED_FROM = 2**24
"""Weights from which auto shards a classifier: their gradient (64 MiB) would pass between the ranks in every step."""


def _is_sharded(config: NetworkConfig, weights: int, *, deepest: bool) -> bool:
    """Whether the ranks divide the classes of a level among them; a setting other than auto is for the deepest one."""
    if config.classifier == "auto" or not deepest:
        return dist.world_size() > 1 and weights >= SHARDED_FROM
    return config.classifier == "sharded" or (config.classifier == "sampled" and dist.world_size() > 1)


def _attribute_head(tasks: Tasks, width: int) -> AttributeHead | None:
    if not tasks.attributes:
        return None
    return AttributeHead(
        width, tasks.attributes, tasks.columns, weights=tasks.attribute_weights, weight=tasks.branch_weight
    )


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
    if torch.get_default_device().type == "meta" and vectors_VE is not None:
        start_VE = torch.empty(vectors_VE.shape)
    elif config.word_vectors == "random":
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
