"""How predictions lie in the category tree: a few whole numbers a row, which are then counted in histograms.

Shapes: R rows of a piece, C leaves, L levels.

A run's prediction at a level is its best class there. A level that the run did not score is read off the ancestors of
its best leaf (S §3.1: where classes are partitioned, the leaf gives the levels above it), not off summed scores: two
readings of the same leaves may differ, but that is no conflict between two answers of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy

FULL_PATH = "full path right"
DISTANCE = "distance"


def conflict(lower: str, upper: str) -> str:
    """The name of: the best class of `lower` is not under the best class of `upper`."""
    return f"{lower} outside {upper}"


def conflicts(levels: Sequence[str]) -> list[tuple[str, str]]:
    """The (lower, upper) levels that are compared: the leaves with the roots, and all neighbours."""
    neighbours = [(levels[i + 1], levels[i]) for i in range(len(levels) - 1)]
    return list(dict.fromkeys([(levels[-1], levels[0]), *neighbours])) if len(levels) > 1 else []


def sizes(levels: Sequence[str]) -> dict[str, int]:
    """All facts, and from 0 how many values each can have."""
    return {FULL_PATH: 2, **{conflict(*pair): 2 for pair in conflicts(levels)}, DISTANCE: len(levels) + 1}


def facts(
    best: Mapping[str, NDArray[np.int64]], labels_RL: NDArray[np.int32], taxonomy: Taxonomy
) -> dict[str, NDArray[np.int64]]:
    """What the predictions `best`, by scored level, say of the tree; int64 [R] each.

    FULL_PATH   1 where the prediction is right at all levels at once (S §3.1).
    conflict    1 where the best class of the lower level is not under that of the upper; both must be scored.
    DISTANCE    edges from the true leaf up to its lowest common ancestor with the predicted leaf: 0 where it is right,
                L where even the roots differ, so that only the whole catalogue is above both.
    Those that need the leaves are missing where the run did not score them.
    """
    found: dict[str, NDArray[np.int64]] = {}
    levels, ancestors_CL = taxonomy.levels, taxonomy.ancestors()
    for lower, upper in conflicts(levels):
        if lower in best and upper in best:
            outside_R = taxonomy.climb(best[lower], lower, upper) != best[upper]
            found[conflict(lower, upper)] = outside_R.astype(np.int64)
    if levels[-1] in best:
        path_RL = ancestors_CL[best[levels[-1]]]
        found[DISTANCE] = (path_RL != ancestors_CL[labels_RL[:, -1]]).sum(axis=1, dtype=np.int64)
        right_R = found[DISTANCE] == 0
        for at, level in enumerate(levels[:-1]):
            if level in best:
                right_R &= best[level] == labels_RL[:, at]
        found[FULL_PATH] = right_R.astype(np.int64)
    return found
