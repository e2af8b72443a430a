"""The nearest training photos of a photo. On several ranks, each searches in its shard.

Search is exact, in chunks, or on a CPU in the lists of a run that has them (`lists.py`). Lists only choose candidates,
whose cosines are computed as in exact search.

Shapes: B photos of this rank, A of all ranks, N training photos, n of a chunk or a shard, D numbers of a feature, d of
a vector, k nearest ones, K candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from prodrec.core.base import console, dist
from prodrec.core.base.nearest import nearest_vectors
from prodrec.core.base.rank_rows import own_rows_of_all_ranks
from prodrec.inference.neighbours.lists import ListIndex, exact_sentence, obstacle
from prodrec.inference.neighbours.projection import Projection
from prodrec.inference.neighbours.training_features import TrainingFeatures

MAX_FLOAT32_BYTES = 2 * 2**30
"""Vectors are kept in float32 up to this size. Larger ones stay in float16 and are converted chunk by chunk."""
CHUNK_COSINES = 2**24
"""Cosines that are in memory at a time."""
ADDITIONAL_CANDIDATES = 8
"""Candidates beyond these. The cosines of all candidates are computed again one by one, so that photos of almost the
same cosine are ordered alike in shards and chunks of any size."""
MAX_CANDIDATES_PER_NEIGHBOUR = 4
"""Candidates for each neighbour, of which those of one product are dropped. A product with more photos than this can
leave fewer than k neighbours."""


class Nearest(NamedTuple):
    """The k nearest training photos of every photo, nearest first, each of another product.

    cosine_Bk: float32, −∞ where there are fewer than k
    index_Bk:  index in the training features, int64; any value where the cosine is −∞
    """

    cosine_Bk: Tensor
    index_Bk: Tensor


@dataclass(frozen=True)
class Searcher:
    """Training vectors on a device, of all training photos or of this rank's shard.

    projection:    makes vectors of features
    vectors_nd:    float32 or float16
    group_N:       group of every training photo, int64
    largest_group: largest number of photos of a group
    first:         index of the first vector of the shard
    is_sharded:    whether other ranks have other vectors
    index:         the lists of the shard; None for exact search, and for a shard without vectors
    probes:        number of lists that are searched
    """

    projection: Projection
    vectors_nd: Tensor
    group_N: Tensor
    largest_group: int
    first: int = 0
    is_sharded: bool = False
    index: ListIndex | None = None
    probes: int = 0

    @classmethod
    def load(cls, features: TrainingFeatures, device: torch.device, *, sharded: bool) -> Searcher:
        """Copy the vectors to `device`; with `sharded`, those of this rank's shard only.

        Print an information if they have lists that cannot be used here.
        """
        shard = dist.shard_slice(len(features)) if sharded else slice(0, len(features))
        vectors_nd = torch.from_numpy(np.ascontiguousarray(features.vectors_Nd[shard])).to(device)
        index, lists = None, features.lists
        if lists is not None and device.type == "cpu" and len(vectors_nd):
            if reason := obstacle():
                console.info(exact_sentence(len(features), reason))
            else:
                index = ListIndex(lists.centroid_Ld, lists.list_N[shard], features.vectors_Nd[shard])
        if index is None and vectors_nd.numel() * 4 <= MAX_FLOAT32_BYTES:
            vectors_nd = vectors_nd.float()
        return cls(
            features.projection.to(device),
            vectors_nd,
            torch.from_numpy(features.group_N).to(device),
            largest_group(features.group_N),
            first=shard.start,
            is_sharded=sharded and dist.world_size() > 1,
            index=index,
            probes=0 if lists is None else lists.probes,
        )

    def nearest(self, features_BD: Tensor, k: int, own_group_B: Tensor | None = None) -> Nearest:
        """Return the k nearest training photos of features of length 1, float32 on the device.

        own_group_B: group whose photos are not neighbours of the feature, int64

        If the vectors are sharded, all ranks must call this, with any number of rows each.
        """
        return self.nearest_to(self.projection(features_BD), k, own_group_B)

    def nearest_to(self, queries_Bd: Tensor, k: int, own_group_B: Tensor | None = None) -> Nearest:
        """Return the k nearest training photos of projected features, as `nearest` does."""
        candidates = k * min(self.largest_group, MAX_CANDIDATES_PER_NEIGHBOUR) + ADDITIONAL_CANDIDATES
        candidates += 0 if own_group_B is None else self.largest_group
        if not self.is_sharded:
            found = self._search(queries_Bd, candidates)
        else:
            row_counts = dist.row_counts(queries_Bd)
            found = self._search(dist.all_gather_rows(queries_Bd, row_counts), candidates)
            found = _of_own_rows(found, row_counts)
        return _one_of_each_group(found, self.group_N, k, own_group_B)

    def _search(self, queries_Ad: Tensor, k: int) -> Nearest:
        """Return the k nearest photos of the shard, or of the lists; the cosine of missing ones is −∞."""
        if self.index is not None:
            found = self.index.candidates(queries_Ad.float().cpu().numpy(), k, self.probes)
            found_AK = torch.from_numpy(found).to(queries_Ad.device)
            index_AK = found_AK.clamp(min=0) + self.first
            return Nearest(self._exact(queries_Ad, index_AK).masked_fill(found_AK < 0, -torch.inf), index_AK)
        chunk = max(k, CHUNK_COSINES // max(1, len(queries_Ad)))
        cosine_AK, index_AK = nearest_vectors(queries_Ad, self.vectors_nd, k, chunk=chunk)
        index_AK = index_AK + self.first
        missing = (0, k - cosine_AK.shape[1])
        return Nearest(F.pad(self._exact(queries_Ad, index_AK), missing, value=-torch.inf), F.pad(index_AK, missing))

    def _exact(self, queries_Ad: Tensor, index_AK: Tensor) -> Tensor:
        """Return the cosines of photos of the shard, each computed alone: the same in a product of any size."""
        return (self.vectors_nd[index_AK - self.first] * queries_Ad.unsqueeze(1)).sum(2)


def largest_group(group_N: NDArray[np.int64]) -> int:
    """Return the largest number of photos of a group."""
    return int(np.unique(group_N, return_counts=True)[1].max(initial=1))


def _of_own_rows(found: Nearest, row_counts: list[int]) -> Nearest:
    """Return the neighbours of this rank's rows in the shards of all ranks, from those of all rows in its own shard."""
    return Nearest(*(torch.cat(own_rows_of_all_ranks(values_AK, row_counts), dim=1) for values_AK in found))


def _one_of_each_group(found: Nearest, group_N: Tensor, k: int, own_group_B: Tensor | None = None) -> Nearest:
    """Keep the nearest photo of each group but that of the query, and the k nearest of these."""
    by_index_BK = found.index_Bk.argsort(dim=1, stable=True)  # of equal cosines, the lower index comes first
    cosine_BK, index_BK = found.cosine_Bk.gather(1, by_index_BK), found.index_Bk.gather(1, by_index_BK)
    order_BK = cosine_BK.argsort(dim=1, descending=True, stable=True)
    cosine_BK, index_BK = cosine_BK.gather(1, order_BK), index_BK.gather(1, order_BK)
    group_BK = torch.where(cosine_BK == -torch.inf, -1, group_N[index_BK])
    is_repeat_BK = (group_BK.unsqueeze(2) == group_BK.unsqueeze(1)).tril(-1).any(2)
    if own_group_B is not None:
        is_repeat_BK |= group_BK == own_group_B.unsqueeze(1)
    cosine_BK = cosine_BK.masked_fill(is_repeat_BK, -torch.inf)
    order_Bk = cosine_BK.argsort(dim=1, descending=True, stable=True)[:, :k]
    return Nearest(cosine_BK.gather(1, order_Bk), index_BK.gather(1, order_Bk))
