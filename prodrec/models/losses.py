"""The loss of a network: the sum of the losses of its heads.

Shapes: B rows, D feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prodrec.models.heads import LevelHead
from prodrec.models.outputs import Features, Losses

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch
    from prodrec.models.network import RecognitionNetwork
    from prodrec.models.network_config import NetworkConfig


def network_loss(network: RecognitionNetwork, features: Features, batch: Batch) -> Losses:
    """Return the loss of a batch from its features, S eq. 5: L = Σ_i λ_i L_i over the levels, attributes and words.

    L_i of a level is the mean cross-entropy of its visual scores. With titles, L_i of the deepest level is A eq. 1.
    On several ranks, the losses of the ranks sum to the loss of the whole batch.

    A row without a label at a level (-1) has no term in the loss of this level. The mean still divides by the
    number of all rows: the fewer rows have a label, the smaller the loss, as with attributes in S eq. 7.

    Class weights and focal loss (`models/classifier/long_tail.py`) apply to both terms of A eq. 1 and to all levels,
    with the numbers of training images of each level. The terms that are returned are cross-entropies without them.
    """
    config, n = network.config, batch.global_size
    progress = batch.progress if config.class_weights_from else 0.0  # a compiled loss depends on what it reads
    total = batch.inputs.new_zeros(())
    terms: dict[str, Tensor] = {}
    for height, head in enumerate(reversed(network.level_heads)):
        is_deepest, labels_B = height == 0, batch.labels_BL[:, head.column]
        if is_deepest and features.mixed_BD is not None:
            loss, terms["visual"], terms["mixed"] = _cotraining_loss(
                head, features, labels_B, config, n=n, progress=progress
            )
        else:
            loss, term = _visual_loss(head, features, labels_B, config, n=n, progress=progress)
            terms["visual" if is_deepest else f"level {head.level}"] = term
        total = total + head.weight * loss
    if network.attribute_head is not None:
        loss, by_attribute = network.attribute_head.loss(features.visual_BD, batch.attributes_BA, n=n)
        total = total + network.attribute_head.weight * loss
        terms |= {f"attribute {name}": term for name, term in by_attribute.items()}
    if network.word_head is not None:
        assert features.pooled_BD is not None
        loss = network.word_head.loss(features.pooled_BD, batch.tokens_BT, n=n)
        total = total + network.word_head.weight * loss
        terms["words"] = loss.detach()
    return Losses(total, terms)


def _visual_loss(
    head: LevelHead, features: Features, labels_B: Tensor, config: NetworkConfig, *, n: int, progress: float
) -> tuple[Tensor, Tensor]:
    """Return 1/n Σ_{i with a label} CE(W visual_i, y_i), and the same detached; n counts all rows over all ranks."""
    loss, cross_entropy_B = head.loss(
        features.visual_BD,
        labels_B,
        weights_B=_equal_weights(features.visual_BD, n),
        label_smoothing=config.label_smoothing,
        progress=progress,
    )
    return loss, cross_entropy_B.sum() / n


def _cotraining_loss(
    head: LevelHead, features: Features, labels_B: Tensor, config: NetworkConfig, *, n: int, progress: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return A eq. 1 and, detached, its two terms; one classifier W scores both features.

        1/n Σ_i CE(W visual_i, y_i) + λ · 1/n Σ_{i with a title} CE(W mixed_i, y_i)

    Both terms divide by n, the number of rows over all ranks: the fewer rows have a title, the smaller the second.
    A row without a label is in neither term.
    """
    visual_BD, mixed_BD, titled_B = features.visual_BD, features.mixed_BD, features.titled_B
    assert mixed_BD is not None and titled_B is not None
    weights_B = _equal_weights(visual_BD, n)
    loss, cross_entropy_2B = head.loss(
        torch.cat([visual_BD, mixed_BD]),
        torch.cat([labels_B, labels_B]),
        weights_B=torch.cat([weights_B, config.title_loss_weight * weights_B * titled_B]),
        label_smoothing=config.label_smoothing,
        progress=progress,
    )
    b = len(labels_B)
    return loss, cross_entropy_2B[:b].sum() / n, (cross_entropy_2B[b:] * titled_B).sum() / n


def _equal_weights(visual_BD: Tensor, n: int) -> Tensor:
    """Return the weight 1/n of every row [B], for a mean over n rows; at least float32."""
    return torch.full_like(visual_BD[:, 0], 1 / n, dtype=torch.promote_types(visual_BD.dtype, torch.float32))
