"""The loss of a network: the sum of the losses of its heads.

Shapes: B rows, D feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prodrec.models.heads import AttributeHead, LevelHead
from prodrec.models.outputs import Features, Losses

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch, Partners
    from prodrec.models.network import RecognitionNetwork
    from prodrec.models.network_config import NetworkConfig
    from prodrec.models.word_head import WordHead


def network_loss(network: RecognitionNetwork, features: Features, batch: Batch) -> Losses:
    """Return the loss of a batch from its features, S eq. 5: L = Σ_i λ_i L_i over the levels, attributes and words.

    L_i of a level is the mean cross-entropy of its visual scores. With titles, L_i of the deepest level is A eq. 1.
    On several ranks, the losses of the ranks sum to the loss of the whole batch.

    A row without a label at a level (-1) has no term in the loss of this level. The mean still divides by the
    number of all rows: the fewer rows have a label, the smaller the loss, as with attributes in S eq. 7.

    Class weights and focal loss (`models/classifier/long_tail.py`) apply to both terms of A eq. 1 and to all levels,
    with the numbers of training images of each level. The terms that are returned are cross-entropies without them.

    If the photos are in pairs (`Batch.partners`), every row has two labels and no title. Then only visual features are
    trained, and the term of the mixed features is 0.
    """
    config, n = network.config, batch.global_size
    depends_on_progress = config.class_weights_from or config.title_schedule != "constant"
    progress = batch.progress if depends_on_progress else 0.0  # a compiled loss depends on what it reads
    total = batch.inputs.new_zeros(())
    terms: dict[str, Tensor] = {}
    for height, head in enumerate(reversed(network.level_heads)):
        is_deepest, labels_B = height == 0, batch.labels_BL[:, head.column]
        if batch.partners is not None:
            loss, term = _two_label_loss(head, features, labels_B, batch.partners, config, n=n, progress=progress)
            terms["visual" if is_deepest else f"level {head.level}"] = term
            if is_deepest and features.mixed_BD is not None:
                terms["mixed"] = torch.zeros_like(term)
                loss = loss + features.mixed_BD[:0].sum()  # 0; DistributedDataParallel waits for every gradient
        elif is_deepest and features.mixed_BD is not None:
            loss, terms["visual"], terms["mixed"] = _cotraining_loss(
                head, features, labels_B, config, n=n, progress=progress
            )
        else:
            loss, term = _visual_loss(head, features, labels_B, config, n=n, progress=progress)
            terms["visual" if is_deepest else f"level {head.level}"] = term
        total = total + head.weight * loss
    if network.attribute_head is not None:
        loss, by_attribute = _attribute_loss(network.attribute_head, features, batch, n=n)
        total = total + network.attribute_head.weight * loss
        terms |= {f"attribute {name}": term for name, term in by_attribute.items()}
    if network.word_head is not None:
        loss = _word_loss(network.word_head, features, batch, n=n)
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

    λ follows `title_schedule`. Both terms divide by n, the number of rows over all ranks: the fewer rows have a title,
    the smaller the second.
    A row without a label is in neither term.
    """
    visual_BD, mixed_BD, titled_B = features.visual_BD, features.mixed_BD, features.titled_B
    assert mixed_BD is not None and titled_B is not None
    weights_B = _equal_weights(visual_BD, n)
    loss, cross_entropy_2B = head.loss(
        torch.cat([visual_BD, mixed_BD]),
        torch.cat([labels_B, labels_B]),
        weights_B=torch.cat([weights_B, _title_loss_weight(config, progress) * weights_B * titled_B]),
        label_smoothing=config.label_smoothing,
        progress=progress,
    )
    b = len(labels_B)
    return loss, cross_entropy_2B[:b].sum() / n, (cross_entropy_2B[b:] * titled_B).sum() / n


def _title_loss_weight(config: NetworkConfig, progress: float) -> float:
    """Return λ of A eq. 1 at a share of the training's steps."""
    factor = {"constant": 1.0, "rise": progress, "fall": 1 - progress}[config.title_schedule]
    return factor * config.title_loss_weight


def _two_label_loss(
    head: LevelHead,
    features: Features,
    labels_B: Tensor,
    partners: Partners,
    config: NetworkConfig,
    *,
    n: int,
    progress: float,
) -> tuple[Tensor, Tensor]:
    """Return the loss of photos in pairs and the same detached; a row has two labels with the shares λ and 1 − λ.

        1/n Σ_i λ_i CE(W visual_i, y_i) + (1 − λ_i) CE(W visual_i, y'_i)

    A label that a row does not have (-1) adds nothing.
    """
    weights_B, share_B = _equal_weights(features.visual_BD, n), partners.own_share_B
    shares_2B = torch.cat([share_B, 1 - share_B])
    loss, cross_entropy_2B = head.loss(
        features.visual_BD,
        torch.cat([labels_B, partners.labels_BL[:, head.column]]),
        weights_B=torch.cat([weights_B, weights_B]) * shares_2B,
        label_smoothing=config.label_smoothing,
        progress=progress,
    )
    return loss, (cross_entropy_2B * shares_2B).sum() / n


def _attribute_loss(
    head: AttributeHead, features: Features, batch: Batch, *, n: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of the attributes, with those of both photos of a pair, and its terms by attribute."""
    if batch.partners is None:
        return head.loss(features.visual_BD, batch.attributes_BA, n=n)
    partners, share_B = batch.partners, batch.partners.own_share_B
    own_loss, own_terms = head.loss(features.visual_BD, batch.attributes_BA, n=n, weights_B=share_B)
    loss, terms = head.loss(features.visual_BD, partners.attributes_BA, n=n, weights_B=1 - share_B)
    return own_loss + loss, {name: own_terms[name] + term for name, term in terms.items()}


def _word_loss(head: WordHead, features: Features, batch: Batch, *, n: int) -> Tensor:
    """Return the loss of the words, with those of both titles of a pair."""
    assert features.pooled_BD is not None
    if batch.partners is None:
        return head.loss(features.pooled_BD, batch.tokens_BT, n=n)
    share_B = batch.partners.own_share_B
    own_loss = head.loss(features.pooled_BD, batch.tokens_BT, n=n, weights_B=share_B)
    return own_loss + head.loss(features.pooled_BD, batch.partners.tokens_BT, n=n, weights_B=1 - share_B)


def _equal_weights(visual_BD: Tensor, n: int) -> Tensor:
    """Return the weight 1/n of every row [B], for a mean over n rows; at least float32."""
    return torch.full_like(visual_BD[:, 0], 1 / n, dtype=torch.promote_types(visual_BD.dtype, torch.float32))
