"""Classes that two names share: their photos are mixed as one class divided at random, or the names are alike.

With v_ab the share of the votes of the nearest photos that rows of class a get for b, a class of n rows that is divided
at random into a and b has v_ab = n_b / n and v_ba = n_a / n, together 1. Classes that differ have 0.

Shapes: N rows, k neighbours, C classes, P pairs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIXED = 0.6
"""v_ab + v_ba from which two classes are listed."""
FEWEST_ROWS = 5
"""Rows that a class needs: the nearest photos of fewer say little."""


class SharedClass(NamedTuple):
    """Two leaves, how much they are mixed, and whether their names are alike."""

    first: int
    second: int
    mixed: float
    alike: bool


def shared_classes(labels_N: NDArray[np.int64], index_Nk: NDArray[np.int64], names: Sequence[str]) -> list[SharedClass]:
    """Return the pairs of leaves that may be one class, the most mixed first.

    index_Nk: the nearest rows of other products; −1 where there are fewer
    """
    rows = np.flatnonzero(labels_N >= 0)
    neighbour_label_Nk = np.where(index_Nk[rows] >= 0, labels_N[index_Nk[rows]], -1)
    own_Nk = np.broadcast_to(labels_N[rows][:, None], neighbour_label_Nk.shape)
    counts = neighbour_label_Nk >= 0
    classes = len(names)
    votes_C = np.bincount(own_Nk[counts], minlength=classes)
    is_other = counts & (own_Nk != neighbour_label_Nk)
    keys, votes = np.unique(own_Nk[is_other] * classes + neighbour_label_Nk[is_other], return_counts=True)
    rows_C = np.bincount(labels_N[rows], minlength=classes)
    mixed: dict[tuple[int, int], float] = {}
    for key, count in zip(keys.tolist(), votes.tolist(), strict=True):
        one, other = divmod(key, classes)
        if min(rows_C[one], rows_C[other]) >= FEWEST_ROWS:
            pair = (min(one, other), max(one, other))
            mixed[pair] = mixed.get(pair, 0.0) + count / max(1, int(votes_C[one]))
    by_name: dict[str, list[int]] = {}
    for leaf in np.flatnonzero(rows_C).tolist():
        by_name.setdefault(_plain(names[leaf]), []).append(leaf)
    alike = {(a, b) for same in by_name.values() for i, a in enumerate(same) for b in same[i + 1 :]}
    pairs = {pair for pair, share in mixed.items() if share >= MIXED} | alike
    found = [SharedClass(a, b, mixed.get((a, b), 0.0), (a, b) in alike) for a, b in pairs]
    return sorted(found, key=lambda one: (-one.mixed, one.first, one.second))


def _plain(name: str) -> str:
    """Return a name without case, signs and the s of a plural: names that are equal then are alike."""
    return re.sub(r"[\W_]+", "", name.casefold()).removesuffix("s")
