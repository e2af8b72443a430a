"""What a network returns: features, losses and scores of a batch.

Shapes: B rows, D feature, C classes of a level, m states of an attribute, K best classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from prodrec.models.classifier.block_top_k import TopK


class Features(NamedTuple):
    """The visual feature of every row, and its mix with the title's semantic feature (A §3.3).

    mixed_BD and titled_B (bool, whether a row has a title) are None without titles. The mixed feature of a row without
    a title is its visual feature. pooled_BD is the output of the backbone, from which `embed` makes the visual feature.
    """

    visual_BD: Tensor
    mixed_BD: Tensor | None = None
    titled_B: Tensor | None = None
    pooled_BD: Tensor | None = None

    @property
    def deepest_level_BD(self) -> Tensor:
        """The features that the head of the deepest level scores: the mixed ones if there are any."""
        return self.visual_BD if self.mixed_BD is None else self.mixed_BD


def mean_features(views: Sequence[Features]) -> Features:
    """Return the mean of the features of several views of every photo, which all have the same titles."""
    if len(views) == 1:
        return views[0]

    def mean(parts: Sequence[Tensor | None]) -> Tensor | None:
        present = [part for part in parts if part is not None]
        return torch.stack(present).mean(0) if present else None

    visual_BD = torch.stack([view.visual_BD for view in views]).mean(0)
    mixed_BD, pooled_BD = mean([view.mixed_BD for view in views]), mean([view.pooled_BD for view in views])
    return Features(visual_BD, mixed_BD, views[0].titled_B, pooled_BD)


@dataclass(frozen=True)
class Losses:
    """The loss of a batch and its terms.

    total: scalar to call `backward` on (S eq. 5)
    terms: detached scalars by name, without the weights λ and γ: `visual` and `mixed` of the deepest level (A eq. 1),
           `level NAME` of each other level, `attribute NAME`, `words`
    """

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class BatchScores:
    """Features (float32) and unnormalised scores: B×C by level and B×m by attribute."""

    features_BD: Tensor
    scores: dict[str, Tensor]
    attribute_scores: dict[str, Tensor]


@dataclass(frozen=True)
class BatchTopK:
    """Features (float32), and by level the K largest scores B×K in decreasing order and their classes B×K (int64).

    A level with fewer than K classes has one column per class. The scores of an attribute cover all its states, B×m.

    logsumexp_B: log Σ_c exp(score_c) over all classes of the deepest level; None unless requested
    also_BJ:     scores of the classes of the deepest level that were requested in addition; None if there were none
    among:       the K largest scores of some classes of the deepest level; None unless requested
    """

    features_BD: Tensor
    scores: dict[str, Tensor]
    classes: dict[str, Tensor]
    attribute_scores: dict[str, Tensor]
    logsumexp_B: Tensor | None = None
    also_BJ: Tensor | None = None
    among: TopK | None = None
