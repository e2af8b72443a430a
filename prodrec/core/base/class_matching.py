"""Find the classes of one category tree in another, by their names and those of their ancestors, never by number.

Shapes: C classes of a level of the first tree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy


def match_classes(tree: Taxonomy, other: Taxonomy) -> tuple[NDArray[np.int64], ...]:
    """Return for each level the index in `other` of every class of `tree` [C], or -1 without a class of its name path.

    Both trees must have the same levels. No two classes of a level have the same name, so a class is the same if its
    name is the same and its parent is the same class.
    """
    assert tree.levels == other.levels
    matches: list[NDArray[np.int64]] = []
    for depth, (names, parents) in enumerate(zip(tree.names, tree.parents, strict=True)):
        index_C = other.names[depth].find(names)
        if depth:
            is_below_same_C = other.parents[depth][index_C] == matches[-1][parents]
            index_C = np.where((index_C >= 0) & is_below_same_C, index_C, -1)
        matches.append(index_C.astype(np.int64))
    return tuple(matches)
