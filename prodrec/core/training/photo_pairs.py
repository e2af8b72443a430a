"""Photos in pairs, each shown with a share of another one and trained with the labels of both: mixup and cutmix.

    mixup    x = λ x_i + (1 − λ) x_j                  Zhang et al. 2018, "mixup: beyond empirical risk minimization",
                                                      eq. 1; also for feature vectors
    cutmix   a rectangle of x_j, of the share 1 − λ   Yun et al. 2019, "CutMix: regularization strategy to train
             of the area, replaces that of x_i        strong classifiers with localizable features", eq. 1 and 2
    loss     λ · loss(y_i) + (1 − λ) · loss(y_j)

λ is drawn from Beta(α, α). A rectangle that exceeds the photo is cut off, and its λ corrected. All photos of a batch
have the same λ and rectangle; their partners are a random permutation of the batch.

A title describes one product, and such a photo shows two. Therefore whole batches are paired or not, with the
probability `pair_probability`. In a paired batch, titles are no input: visual features alone are trained. Words as
targets (heads=leaf,words) are labels like others, with the shares λ and 1 − λ.

What is drawn depends on (seed, epoch, number of the batch) alone. The partner of a photo may be on another rank, so the
ranks exchange their photos in paired batches.

Shapes: B rows of this rank, A of all ranks, C=3 channels, H height, W width, D numbers of a feature vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from prodrec.core.base import dist
from prodrec.core.data.batches import Batch, Partners
from prodrec.core.training.config import TrainingConfig

STREAM = 0x6D6978
"""Separates these random numbers from others of the same seed and epoch."""


@dataclass(frozen=True)
class Pairing:
    """How a batch of A rows is paired.

    partner_A: int64, the partner of every row
    share:     λ, the share of a photo itself
    rectangle: rows and columns that the partner replaces (cutmix), or None for mixup
    """

    partner_A: Tensor
    share: float
    rectangle: tuple[slice, slice] | None = None


def draw_pairing(
    config: TrainingConfig, size: int, photo: tuple[int, int], *, epoch: int, number: int
) -> Pairing | None:
    """Return how to pair the photos of batch `number` of an epoch, or None if it shows photos as they are.

    size:  A, rows of the batch over all ranks
    photo: height and width; ignored by mixup
    """
    if not pairs_photos(config):
        return None
    random = np.random.default_rng([STREAM, config.seed, epoch, number])
    if random.random() >= config.pair_probability:
        return None
    partner_A = torch.from_numpy(random.permutation(size))
    if not config.cutmix or (config.mixup and random.random() < 0.5):
        return Pairing(partner_A, float(random.beta(config.mixup, config.mixup)))
    rectangle = _draw_rectangle(float(random.beta(config.cutmix, config.cutmix)), photo, random)
    rows, columns = rectangle
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Pairing(partner_A, 1 - area / (photo[0] * photo[1]), rectangle)


def pairs_photos(config: TrainingConfig) -> bool:
    """Return whether some batches are paired."""
    return bool(config.mixup or config.cutmix)


def _draw_rectangle(share: float, photo: tuple[int, int], random: np.random.Generator) -> tuple[slice, slice]:
    """Return a rectangle around a random pixel with √(1 − λ) of both sides, without what exceeds the photo."""
    slices = []
    for side in photo:
        half, centre = side * math.sqrt(1 - share) / 2, int(random.integers(side))
        slices.append(slice(max(0, round(centre - half)), min(side, round(centre + half))))
    return slices[0], slices[1]


def pair_photos(batch: Batch, pairing: Pairing) -> Batch:
    """Return this rank's shard of a batch with paired photos, and the labels and titles of the partners.

    All ranks must call this.
    """
    row_counts = dist.row_counts(batch.inputs)
    first = sum(row_counts[: dist.rank()])
    partner_B = pairing.partner_A[first : first + len(batch)].to(batch.inputs.device)

    def of_partners(values: Tensor) -> Tensor:
        return dist.all_gather_rows(values, row_counts)[partner_B]

    others = of_partners(batch.inputs)
    if pairing.rectangle is None:
        inputs = batch.inputs.mul(pairing.share).add_(others, alpha=1 - pairing.share)
    else:
        rows, columns = pairing.rectangle
        inputs = batch.inputs.clone()
        inputs[:, :, rows, columns] = others[:, :, rows, columns]
    partners = Partners(
        labels_BL=of_partners(batch.labels_BL),
        attributes_BA=of_partners(batch.attributes_BA),
        tokens_BT=of_partners(_pad_to_longest(batch.tokens_BT)),
        own_share_B=torch.full_like(batch.rows_B, pairing.share, dtype=inputs.dtype, device=inputs.device),
    )
    return replace(batch, inputs=inputs, partners=partners)


def _pad_to_longest(tokens_BT: Tensor) -> Tensor:
    """Return the titles with as many words as the longest one of all ranks."""
    words = tokens_BT.shape[1]
    longest = int(dist.all_reduce_max(torch.tensor(words, device=tokens_BT.device)))
    return F.pad(tokens_BT, (0, longest - words))
