"""From the category names of every row to a tree with one parent for every class.

Shapes: N rows, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.taxonomy import Taxonomy
from prodrec.core.texts import Texts

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class SeveralParents:
    """A class that stands under several parents, and in how many rows under each; the first one was taken."""

    level: str
    name: str
    parents: tuple[str, ...]
    rows: tuple[int, ...]


def encode(names: pl.Series) -> tuple[list[str], NDArray[np.int32]]:
    """The distinct values in order of code points, and the index of every row's value into them, -1 for null."""
    import polars as pl

    distinct = names.drop_nulls().unique().sort().to_list()
    if not distinct:
        return [], np.full(len(names), -1, np.int32)
    codes = names.cast(pl.Enum(distinct)).to_physical().cast(pl.Int32).fill_null(-1)
    return distinct, codes.to_numpy()


def build_taxonomy(
    levels: tuple[str, ...], names: Sequence[Sequence[str]], codes_NL: NDArray[np.int32]
) -> tuple[Taxonomy, NDArray[np.int32], list[SeveralParents]]:
    """The tree over the rows' class names, the label of every row at every level (int32 [N, L]), and what was unclear.

    `names` and `codes_NL` come from `encode`, level by level, so that classes are in alphabetical order. A class under
    several parents belongs to the one that most rows name, the first in that order where two are equal; the labels of a
    row follow from its leaf alone.
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
        first = np.flatnonzero(np.diff(child, prepend=-1))
        parent_C[child[first]] = parent[first]
        parents.append(parent_C)
        for start, stop in zip(first, [*first[1:], len(child)], strict=True):
            if stop - start > 1:
                listed = tuple(names[level - 1][p] for p in parent[start:stop])
                unclear.append(
                    SeveralParents(levels[level], names[level][child[start]], listed, tuple(rows[start:stop].tolist()))
                )
    return *_without_unused(levels, names, parents, codes_NL[:, -1]), unclear


def _without_unused(
    levels: tuple[str, ...], names: Sequence[Sequence[str]], parents: list[NDArray[np.int64]], leaf_N: NDArray[np.int32]
) -> tuple[Taxonomy, NDArray[np.int32]]:
    """Leave out leaves without rows, and classes whose leaves all went to other parents."""
    used: list[NDArray[np.int64]] = []
    labels: list[NDArray[np.int32]] = []
    label_N = leaf_N.astype(np.int64)
    for level in reversed(range(len(levels))):
        kept, code_N = np.unique(label_N, return_inverse=True)
        used.insert(0, kept)
        labels.insert(0, code_N.astype(np.int32))
        if level:
            label_N = parents[level - 1][label_N]
    above = [parents[level - 1][used[level]] for level in range(1, len(levels))]
    kept_parents = [np.searchsorted(kept, parent).astype(np.int32) for kept, parent in zip(used, above, strict=False)]
    kept_parents.insert(0, np.full(len(used[0]), -1, np.int32))
    kept_names = tuple(Texts.of(names[level]).take(used[level]) for level in range(len(levels)))
    return Taxonomy(levels, kept_names, tuple(kept_parents)), np.stack(labels, axis=1)


def rows_moved(
    taxonomy: Taxonomy, labels_NL: NDArray[np.int32], names: Sequence[Sequence[str]], codes_NL: NDArray[np.int32]
) -> int:
    """Rows that stand under another parent now, at any level, than their own names say."""
    moved = np.zeros(len(codes_NL), bool)
    for level, classes in enumerate(taxonomy.names):
        place = {name: i for i, name in enumerate(names[level])}
        moved |= np.array([place[name] for name in classes])[labels_NL[:, level]] != codes_NL[:, level]
    return int(moved.sum())
