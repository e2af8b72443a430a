"""Builds the heads of a network, and the classifiers of its levels, from its settings.

Shapes: C classes of a level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.models.backbone import Backbone
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.classifier.long_tail import LongTailLoss
from prodrec.models.classifier.tree_smoothing import TreeSmoothing
from prodrec.models.heads import AttributeHead, LevelHead
from prodrec.models.network_config import NetworkConfig
from prodrec.models.tasks import Tasks
from prodrec.models.word_head import WordHead
from prodrec.models.word_targets import WordTargets

SHARD_FROM_WEIGHTS = 2**24
"""Number of weights from which classifier=auto shards a classifier. With a dense one of this size, the ranks exchange a
gradient of 64 MiB in every step."""


def check_train_images(
    config: NetworkConfig, train_images: Mapping[str, NDArray[np.int64]] | None, *, load_weights: bool
) -> None:
    """Raise BadOption if a network is to be trained with a setting that needs the training images of every class."""
    if train_images is not None or not load_weights:
        return
    for name, off in (("logit_adjustment", 0.0), ("class_weights", "none"), ("ldam_margin", 0.0)):
        if getattr(config, name) != off:
            raise BadOption(f"{name}={getattr(config, name)} needs the training images of every class.")


def build_level_heads(
    config: NetworkConfig,
    tasks: Tasks,
    backbone: Backbone,
    width: int,
    taxonomy: Taxonomy,
    train_images: Mapping[str, NDArray[np.int64]] | None,
    *,
    sharded: bool | None,
) -> list[LevelHead]:
    """Return the head of every level, shallowest first; arguments are those of `build_network`.

    width: width of the visual feature
    """
    long_tail = LongTailLoss(
        **{field.name: getattr(config, field.name) for field in fields(LongTailLoss)}  # the settings have these names
    )
    heads = []
    for level, weight in zip(tasks.levels, tasks.level_weights, strict=True):
        column, classes = taxonomy.levels.index(level), taxonomy.count(level)
        train_images_C = None if train_images is None else torch.from_numpy(train_images[level])
        private, features = backbone.private_layers(width, config.private_width, dropout=config.dropout)
        is_deepest = level == tasks.levels[-1]
        if sharded is None:
            is_sharded = _shards_classes(config, features * classes, is_deepest=is_deepest)
        else:
            is_sharded = sharded and is_deepest
        classifier = Classifier(
            features,
            classes,
            sharded=is_sharded,
            sample_share=config.sample_share if config.classifier == "sampled" and is_deepest else 1.0,
            buffer_gib=config.score_buffer,
            logit_adjustment=config.logit_adjustment,
            long_tail=long_tail,
            cosine_scale=config.cosine_scale if config.classifier_form == "cosine" else None,
            train_images_C=train_images_C,
            tree_smoothing=_tree_smoothing(config, taxonomy, level) if is_deepest else None,
        )
        heads.append(LevelHead(level, column, private, classifier, weight=weight))
    return heads


def _tree_smoothing(config: NetworkConfig, taxonomy: Taxonomy, level: str) -> TreeSmoothing | None:
    """Return the soft labels of the classes of `level` by their distances, or None if they are off."""
    if config.tree_smoothing is None:
        return None
    levels = taxonomy.levels[: taxonomy.levels.index(level) + 1]
    ancestors_CL = np.stack([taxonomy.ancestors_of_level(level, upper) for upper in levels], axis=1)
    return TreeSmoothing(ancestors_CL, config.tree_smoothing)


def _shards_classes(config: NetworkConfig, weights: int, *, is_deepest: bool) -> bool:
    """Return whether the classes of a level are divided among the ranks.

    `config.classifier` is for the deepest level; for the others, it is always `auto`.

    weights: number of weights of the level's classifier
    """
    if config.classifier == "auto" or not is_deepest:
        return dist.world_size() > 1 and weights >= SHARD_FROM_WEIGHTS
    return config.classifier == "sharded" or (config.classifier == "sampled" and dist.world_size() > 1)


def build_attribute_head(tasks: Tasks, width: int) -> AttributeHead | None:
    """Return the head of the attributes, or None if none are predicted."""
    if not tasks.attributes:
        return None
    return AttributeHead(
        width,
        tasks.attributes,
        tasks.attribute_columns,
        weights=tasks.attribute_weights,
        weight=tasks.attribute_head_weight,
    )


def build_word_head(config: NetworkConfig, tasks: Tasks, width: int, targets: WordTargets | None) -> WordHead | None:
    """Return the head of the words, or None if none are predicted; `width` is that of the backbone's output."""
    if not tasks.words:
        return None
    if targets is None:
        raise BadOption("heads=words needs the words of the training titles.")
    return WordHead(width, targets, hidden=config.word_units, weight=tasks.word_head_weight)
