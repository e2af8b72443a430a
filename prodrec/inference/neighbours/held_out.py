"""The vote of the nearest photos of other products, for every photo of a dataset: evidence of the audit of labels.

Which photos are the nearest does not depend on the labels, so they are searched once, exactly: the time grows with the
square of the number of photos.

Shapes: N photos, R of a chunk, k neighbours, d numbers of a vector, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from prodrec.inference.neighbours.projection import Projection, fit_projection
from prodrec.inference.neighbours.search import Searcher, largest_group
from prodrec.inference.neighbours.vote import vote

NEIGHBOURS = 10
TEMPERATURE = 0.1
"""Of the weights of the neighbours; see `vote`."""
NO_VOTE = 0.01
"""ε, the vote of a class without neighbours: the logarithm of 0 would end every doubt."""
PHOTOS_AT_ONCE = 512
PROJECTED_AT_ONCE = 4096
SHORTEST = 1e-12
"""Length below which a feature is 0."""


class HeldOutVote:
    """The nearest photos of other groups, for every photo.

    vectors_Nd: float32, projected vectors of length 1
    group_N:    products and duplicates that do not vote for each other
    """

    is_calibrated = True

    def __init__(
        self,
        vectors_Nd: NDArray[np.float32],
        group_N: NDArray[np.int64],
        *,
        classes: int,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._classes, self._class_N = classes, np.zeros(0, np.int64)
        vectors, groups = torch.from_numpy(vectors_Nd), torch.from_numpy(group_N)
        width = vectors.shape[1]
        identity = Projection(torch.zeros(width), torch.eye(width))
        searcher = Searcher(identity, vectors, groups, largest_group(group_N))
        found = []
        with torch.inference_mode():
            for start in range(0, len(vectors), PHOTOS_AT_ONCE):
                part = slice(start, min(start + PHOTOS_AT_ONCE, len(vectors)))
                nearest = searcher.nearest_to(vectors[part], NEIGHBOURS + 1)
                is_own = groups[nearest.index_Bk] == groups[part].unsqueeze(1)
                cosine = nearest.cosine_Bk.masked_fill(is_own, -torch.inf)
                order = cosine.argsort(dim=1, descending=True, stable=True)[:, :NEIGHBOURS]
                found.append((cosine.gather(1, order), nearest.index_Bk.gather(1, order)))
                advance(part.stop - part.start)
        self.cosine_Nk: NDArray[np.float32] = torch.cat([cosine for cosine, _ in found]).numpy()
        self.index_Nk: NDArray[np.int64] = torch.cat([index for _, index in found]).numpy()

    def fit(self, class_N: NDArray[np.int64]) -> None:
        """Let the neighbours vote for these classes; photos of class −1 do not vote."""
        self._class_N = class_N

    def scores(self, fold: int, rows_R: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return log(v_c + ε) of all classes: float32 [R, C]. The fold does not matter: no own photo votes."""
        cosine_Rk = torch.from_numpy(self.cosine_Nk[rows_R])
        class_Rk = torch.from_numpy(self._class_N[self.index_Nk[rows_R]])
        cosine_Rk = cosine_Rk.masked_fill(class_Rk < 0, -torch.inf)
        cosine_Rk, order_Rk = cosine_Rk.sort(dim=1, descending=True, stable=True)
        class_Rk = class_Rk.gather(1, order_Rk)
        votes = vote(cosine_Rk, class_Rk, torch.ones_like(class_Rk), temperature=TEMPERATURE, rho=0.0)
        vote_RC = torch.zeros((len(rows_R), self._classes))
        vote_RC.scatter_add_(1, votes.class_Bk.clamp(min=0), votes.share_Bk)
        scores_RC: NDArray[np.float32] = (vote_RC + NO_VOTE).log().numpy()
        return scores_RC


def fit_to(features_ND: NDArray[np.floating]) -> Projection:
    """Return the projection for features of any length."""
    return fit_projection(lambda: _unit_chunks(features_ND))


def project(features_ND: NDArray[np.floating], projection: Projection | None = None) -> NDArray[np.float32]:
    """Return the projected vectors of features of any length: float32 [N, d] of length 1.

    projection: None is that of these features
    """
    projection = fit_to(features_ND) if projection is None else projection
    return np.concatenate([projection(torch.from_numpy(x_RD)).numpy() for x_RD in _unit_chunks(features_ND)])


def _unit_chunks(features_ND: NDArray[np.floating]) -> Iterator[NDArray[np.float32]]:
    """Yield the features in chunks, with length 1."""
    for start in range(0, len(features_ND), PROJECTED_AT_ONCE):
        x_RD = np.asarray(features_ND[start : start + PROJECTED_AT_ONCE], np.float32)
        yield x_RD / np.maximum(np.linalg.norm(x_RD, axis=1, keepdims=True), SHORTEST)
