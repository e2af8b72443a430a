"""The vote of the nearest training photos as a part of a graph; `inference/neighbours` has the equations.

The search is exact and in one product, because a graph has no loop over chunks. Engines order equal cosines as they
like, and `search.py` by the index. Identical photos of one group, which may have different classes, are therefore in
the graph once: the one with the lowest index, which is the only one that ever votes.

Shapes: B photos, N training photos, D numbers of a feature, d of a vector, k neighbours, K candidates, C classes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prodrec.inference.neighbours.fused import Neighbours
from prodrec.inference.neighbours.operating_points import OperatingPoint
from prodrec.inference.neighbours.projection import Projection
from prodrec.inference.neighbours.search import ADDITIONAL_CANDIDATES, MAX_CANDIDATES_PER_NEIGHBOUR, largest_group
from prodrec.inference.neighbours.vote import log_voted_share, vote

MAX_VECTOR_BYTES = 2**29
"""Bytes of the vectors in float16 up to which they can be in a graph: half a million photos with 512 numbers. An ONNX
file has at most 2 GiB, and an engine converts them to float32 in memory."""


class VoteGraph(nn.Module):
    """Mixes the vote of the nearest training photos into the scores of the deepest level."""

    mean_D: Tensor
    matrix_Dd: Tensor
    vectors_Nd: Tensor
    class_N: Tensor
    group_N: Tensor
    count_N: Tensor
    is_unvoted_C: Tensor

    def __init__(self, neighbours: Neighbours, point: OperatingPoint) -> None:
        super().__init__()
        features, projection = neighbours.features, neighbours.searcher.projection
        voter_N = first_of_identical(features.vectors_Nd, features.group_N)
        group_N, class_N = features.group_N[voter_N], neighbours.class_N[torch.from_numpy(voter_N)]
        largest = largest_group(group_N)
        self.point = point
        candidates = point.neighbours * min(largest, MAX_CANDIDATES_PER_NEIGHBOUR)
        self.candidates = min(candidates + ADDITIONAL_CANDIDATES, len(voter_N))
        self.neighbours = min(point.neighbours, self.candidates)
        self.has_unvoted = neighbours.is_unvoted_C is not None
        self.has_groups = largest > 1
        self.register_buffer("mean_D", projection.mean_D)
        self.register_buffer("matrix_Dd", projection.matrix_Dd)
        self.register_buffer("vectors_Nd", torch.from_numpy(features.vectors_Nd[voter_N]))
        self.register_buffer("class_N", class_N)
        self.register_buffer("group_N", torch.from_numpy(group_N))
        self.register_buffer("count_N", neighbours.count_C[class_N])
        self.register_buffer("is_unvoted_C", neighbours.count_C == 0)

    def forward(self, vector_BD: Tensor, scores_BC: Tensor) -> Tensor:
        """Return log p of all classes.

        vector_BD: `FusibleNetwork.search_vectors`
        """
        query_Bd = Projection(self.mean_D, self.matrix_Dd)(vector_BD)
        cosine_BK, index_BK = (query_Bd @ self.vectors_Nd.float().t()).topk(self.candidates, dim=1)
        if self.has_groups:  # the nearest photo of each group
            group_BK = self.group_N[index_BK]
            is_repeat_BK = (group_BK.unsqueeze(2) == group_BK.unsqueeze(1)).tril(-1).any(2)
            cosine_BK = cosine_BK.masked_fill(is_repeat_BK, -torch.inf)
        cosine_Bk, position_Bk = cosine_BK.topk(self.neighbours, dim=1)
        index_Bk = index_BK.gather(1, position_Bk)
        votes = vote(
            cosine_Bk,
            self.class_N[index_Bk],
            self.count_N[index_Bk],
            temperature=self.point.temperature,
            rho=self.point.rho,
        )
        class_Bk = votes.class_Bk.clamp(min=0)
        vote_BC = torch.zeros_like(scores_BC).scatter_add(1, class_Bk, votes.share_Bk)
        return self._mix(scores_BC.log_softmax(1), vote_BC)

    def _mix(self, log_softmax_BC: Tensor, vote_BC: Tensor) -> Tensor:
        """Return what `vote.mix_all` returns, by operations that do not underflow in other software either.

        There, logaddexp may be computed as log(e^a + e^b), which is −∞ for small a and b.
        """
        log_vote_BC = (self.point.beta * vote_BC).log()
        if self.has_unvoted:
            log_unvoted_B1 = log_softmax_BC.masked_fill(~self.is_unvoted_C, -torch.inf).logsumexp(1, keepdim=True)
            log_vote_BC = log_vote_BC + log_voted_share(log_unvoted_B1)
        own_BC = log_softmax_BC + math.log1p(-self.point.beta)
        mixed_BC = torch.maximum(own_BC, log_vote_BC) + (-(own_BC - log_vote_BC).abs()).exp().log1p()
        return torch.where(self.is_unvoted_C, log_softmax_BC, mixed_BC) if self.has_unvoted else mixed_BC


def first_of_identical(vectors_Nd: NDArray[np.float16], group_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, ascending, the indices of the training photos without those whose group has the same vector before."""
    rows_N = np.concatenate([group_N[:, None].view(np.uint8), np.ascontiguousarray(vectors_Nd).view(np.uint8)], axis=1)
    _, first = np.unique(rows_N.view(np.dtype((np.void, rows_N.shape[1])))[:, 0], return_index=True)
    return np.sort(first).astype(np.int64)
