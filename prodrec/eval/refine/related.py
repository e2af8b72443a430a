"""The loss as S eq. 2 prints it, on rows with all scores: P(c) = exp(w_c · f_c) / Σ_{t ∈ R_c} exp(w_t · f_c).

The same f_c stands above and below, so that w_t counts in it for R_t ∩ R_c only: the paper gives w_c as many weights as
R_c has categories, and sets f_c to zero outside R_c. Levels hang together, because R_c reaches into others.

Shapes: B rows; Q = |R_c| categories; n categories; P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.dense import DenseRows
from prodrec.eval.refine.pattern import Pattern


@dataclass(frozen=True)
class Members:
    """R_c, and which of its pairs (t, s) have a parameter: flat places in Q×Q and their parameters."""

    members_Q: NDArray[np.int64]
    flat: NDArray[np.int64]
    parameters: NDArray[np.int64]

    def matrix(self, values_P: NDArray[np.float64], dtype: Any) -> NDArray[Any]:
        """W inside R_c, Q×Q."""
        found = np.zeros(len(self.members_Q) ** 2, dtype=dtype)
        found[self.flat] = values_P[self.parameters]
        return found.reshape(len(self.members_Q), -1)


def members_of(pattern: Pattern, category: int) -> Members:
    """R_c of one category."""
    cut = slice(int(pattern.bounds_n1[category]), int(pattern.bounds_n1[category + 1]))
    members = pattern.columns_P[cut].astype(np.int64)
    parameters, there = pattern.find((members[:, None] * pattern.tree.n + members).ravel())
    return Members(members, np.flatnonzero(there), parameters[there])


class RelatedLoss:
    """−Σ over rows and levels of log P(true category), S eq. 2 as printed."""

    def __init__(self, rows: DenseRows, pattern: Pattern) -> None:
        self.size = pattern.size
        self._groups: list[tuple[Members, NDArray[np.float32], NDArray[np.int64]]] = []  # f Q×B, places of truth L×B
        if pattern.is_full:
            members = members_of(pattern, 0)
            self._groups = [(members, block.f_nB, block.labels_LB) for block in rows.blocks]
            return
        for at in range(pattern.tree.depth):
            label_N = np.concatenate([block.labels_LB[at] for block in rows.blocks])
            block_N = np.repeat(np.arange(len(rows.blocks)), [block.f_nB.shape[1] for block in rows.blocks])
            within_N = np.concatenate([np.arange(block.f_nB.shape[1]) for block in rows.blocks])
            order_N = np.argsort(label_N, kind="stable")
            categories, starts = np.unique(label_N[order_N], return_index=True)
            for category, mine in zip(categories.tolist(), np.split(order_N, starts[1:]), strict=True):
                members = members_of(pattern, category)
                parts = [
                    rows.blocks[number].f_nB[np.ix_(members.members_Q, within_N[mine[block_N[mine] == number]])]
                    for number in np.unique(block_N[mine])
                ]
                place = np.full((1, len(mine)), int(np.searchsorted(members.members_Q, category)))
                self._groups.append((members, np.concatenate(parts, axis=1), place))

    def evaluate(self, values_P: NDArray[np.float64], dtype: Any) -> tuple[float, NDArray[np.float64]]:
        gradient, loss = np.zeros(self.size), 0.0
        last, w_QQ = None, np.zeros((0, 0), dtype=dtype)
        for members, f_QB, places_LB in self._groups:
            if members is not last:
                last, w_QQ = members, members.matrix(values_P, dtype)
            f_QB = f_QB.astype(dtype, copy=False)
            z_QB, each = w_QQ @ f_QB, np.arange(f_QB.shape[1])
            z_QB -= z_QB.max(axis=0)
            true = sum(z_QB[place_B, each].astype(np.float64).sum() for place_B in places_LB)
            np.exp(z_QB, out=z_QB)
            sum_B = z_QB.sum(axis=0)
            loss += len(places_LB) * float(np.log(sum_B.astype(np.float64)).sum()) - float(true)
            z_QB *= len(places_LB) / sum_B
            for place_B in places_LB:
                z_QB[place_B, each] -= 1
            gradient[members.parameters] += (z_QB @ f_QB.T).ravel()[members.flat]
        return loss, gradient


class RelatedScores:
    """log P(c) of S eq. 2 for every category c, with weights that do not change."""

    def __init__(self, pattern: Pattern, values_P: NDArray[np.float64]) -> None:
        self.n = pattern.tree.n
        categories = range(1 if pattern.is_full else self.n)
        self._members = [members_of(pattern, category) for category in categories]
        self._weights = [members.matrix(values_P, np.float64) for members in self._members]

    def scores(self, f_nB: NDArray[Any]) -> NDArray[Any]:
        """n×B, in float64 whatever the precision of the scores: differences of large numbers."""
        if len(self._members) == 1:
            z_nB: NDArray[Any] = self._weights[0] @ f_nB
            z_nB -= _log_sum_exp(z_nB)
            return z_nB
        found = np.empty((self.n, f_nB.shape[1]))
        for category, (members, w_QQ) in enumerate(zip(self._members, self._weights, strict=True)):
            z_QB = w_QQ @ f_nB[members.members_Q]
            found[category] = z_QB[np.searchsorted(members.members_Q, category)] - _log_sum_exp(z_QB)
        return found


def _log_sum_exp(z_QB: NDArray[Any]) -> NDArray[Any]:
    largest = z_QB.max(axis=0)
    found: NDArray[Any] = largest + np.log(np.exp(z_QB - largest).sum(axis=0))
    return found
