"""What a network sees in validation photos, kept in memory: one pass for all choices that are made on them.

`choose.py` chooses operating points, and afterwards their probabilities are calibrated. Both need the scores of the
same photos, which are computed from their features in a small part of the time of the network. At most
`choose.MAX_PHOTOS` photos are seen, whose features take at most some hundred MB.

Shapes: B photos.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prodrec.core.base import console, dist
from prodrec.inference.neighbours.fused import FusedFeatures

if TYPE_CHECKING:
    from prodrec.core.data.batches import Batch
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.protocols import FusibleNetwork

NEIGHBOURS = (10, 20)
"""Candidates for the number of neighbours of an operating point. All are found for the largest."""


@dataclass(frozen=True)
class SeenBatch:
    """A batch of photos that the network has seen.

    label_B: class at the level of the classifier
    fused:   features, and the nearest photos; no photos without neighbours
    is_own:  whether its results count; false for a batch of a rank that has fewer than others
    """

    label_B: Tensor
    fused: FusedFeatures
    is_own: bool = True

    def __len__(self) -> int:
        return len(self.label_B)


def see(
    network: FusibleNetwork,
    batches: Iterable[Batch],
    *,
    own_batches: int,
    column: int,
    neighbours: Neighbours | None,
    total: int,
    with_titles: bool = False,
    autocast: AbstractContextManager[Any] | None = None,
) -> list[SeenBatch]:
    """Return what the network sees in the batches of this rank. All ranks must call this.

    batches, own_batches: as `prodrec.inference.score.rank_batches` returns them, on the device
    column:               column of the classifier's level in Batch.labels_BL
    total:                number of photos of all ranks
    with_titles:          use the titles to score the level; neighbours are those of the photos alone
    autocast:             context in which the network computes
    """
    seen = []
    with (
        torch.inference_mode(),
        autocast or nullcontext(),
        console.progress("validation photos", total=total, unit="photos") as advance,
    ):
        for number, batch in enumerate(batches):
            features, nearest = network.features(batch, with_titles=with_titles), None
            if neighbours is not None:
                nearest = neighbours.nearest(network.search_vectors(features), max(NEIGHBOURS), batch)
            seen.append(SeenBatch(batch.labels_BL[:, column], FusedFeatures(features, nearest), number < own_batches))
            advance(len(batch) * dist.world_size())
    return seen
