"""From the category names of every row to a tree with one parent for every class.

Shapes: N rows, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.base.texts import Texts

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class SeveralParents:
    """The classes of a level that stand under several parents, as P pairs of both, those of one class together.

    rows_P:  int64, in how many rows the class stands under the parent
    taken_P: bool, whether this parent was taken: the first of the class
    """

    level: str
    classes_P: Texts
    parents_P: Texts
    rows_P: NDArray[np.int64]
    taken_P: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A tree, and where every row stands in it.

    labels_NL:       int32, the class of every row at every level
    several_parents: classes under several parents, level by level from the second on
    rows_moved:      rows that stand under another parent now, at any level, than their own names say
    """

    taxonomy: Taxonomy
    labels_NL: NDArray[np.int32]
    several_parents: list[SeveralParents]
    rows_moved: int


def build_taxonomy(levels: tuple[str, ...], names: Sequence[Sequence[str]], codes_NL: NDArray[np.int32]) -> Labelled:
    """The tree over the rows' class names.

    `names` and `codes_NL` come from `factorize`, level by level, so that classes are in alphabetical order. A class
    under several parents belongs to the one that most rows name, the first in that order where two are equal; the
    labels of a row follow from its leaf alone.
    """
    unclear: list[SeveralParents] = []
    parents: list[NDArray[np.int64]] = []
    for level in range(1, len(levels)):
        parent_C = np.full(len(names[level]), -1, np.int64)
        pairs_N = codes_NL[:, level].astype(np.int64) * len(names[level - 1]) + codes_NL[:, level - 1]
        pairs, rows = np.unique(pairs_N, return_counts=True)
        child, parent = np.divmod(pairs, len(names[level - 1]))
        order = np.lexsort((parent, -rows, child))
        child, parent, rows = child[order], parent[order], rows[order]
        is_first = np.diff(child, prepend=-1) != 0
        first = np.flatnonzero(is_first)
        parent_C[child[first]] = parent[first]
        parents.append(parent_C)
        several = np.bincount(child, minlength=1)[child] > 1
        classes = Texts.of(names[level]).take(child[several])
        above = Texts.of(names[level - 1]).take(parent[several])
        unclear.append(SeveralParents(levels[level], classes, above, rows[several], is_first[several]))
    return _without_unused(levels, names, parents, codes_NL, unclear)


def _without_unused(
    levels: tuple[str, ...],
    names: Sequence[Sequence[str]],
    parents: list[NDArray[np.int64]],
    codes_NL: NDArray[np.int32],
    unclear: list[SeveralParents],
) -> Labelled:
    """Leave out leaves without rows, and classes whose leaves all went to other parents."""
    used: list[NDArray[np.int64]] = []
    labels_NL = np.empty_like(codes_NL)
    moved_N = np.zeros(len(codes_NL), bool)
    label_N = codes_NL[:, -1].astype(np.int64)
    for level in reversed(range(len(levels))):
        moved_N |= label_N != codes_NL[:, level]
        kept = np.flatnonzero(np.bincount(label_N, minlength=len(names[level])))
        number_C = np.zeros(len(names[level]), np.int32)
        number_C[kept] = np.arange(len(kept))
        labels_NL[:, level] = number_C[label_N]
        used.insert(0, kept)
        if level:
            label_N = parents[level - 1][label_N]
    above = [parents[level - 1][used[level]] for level in range(1, len(levels))]
    kept_parents = [np.searchsorted(kept, parent).astype(np.int32) for kept, parent in zip(used, above, strict=False)]
    kept_parents.insert(0, np.full(len(used[0]), -1, np.int32))
    kept_names = tuple(Texts.of(names[level]).take(used[level]) for level in range(len(levels)))
    return Labelled(Taxonomy(levels, kept_names, tuple(kept_parents)), labels_NL, unclear, int(moved_N.sum()))
