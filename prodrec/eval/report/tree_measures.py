"""Measures that compare predictions in the category tree: small integers for each row, later counted in histograms.

The prediction at a level is the class of that level with the largest score. If a run did not score a level, the
prediction is the ancestor of the predicted leaf (S §3.1: in a partition, the leaf determines the levels above it), not
the class with the largest summed probability. These two may differ, although they come from the same scores, and such a
difference is not a conflict between two predictions of the run.

Shapes: R rows of a chunk; C leaves; L levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy

FULL_PATH = "full path right"
DISTANCE = "distance"


def conflict_name(lower: str, upper: str) -> str:
    """Return the name of the measure that compares the predictions at two levels."""
    return f"{lower} outside {upper}"


def compared_levels(levels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the (lower, upper) levels that are compared: the leaves with the roots, and all neighbouring levels."""
    neighbours = [(levels[i + 1], levels[i]) for i in range(len(levels) - 1)]
    return list(dict.fromkeys([(levels[-1], levels[0]), *neighbours])) if len(levels) > 1 else []


def value_counts(levels: Sequence[str]) -> dict[str, int]:
    """Return all measures by name, with the number of values of each; the values start at 0."""
    return {FULL_PATH: 2, **{conflict_name(*pair): 2 for pair in compared_levels(levels)}, DISTANCE: len(levels) + 1}


def measure_tree(
    predicted: Mapping[str, NDArray[np.int64]], labels_RL: NDArray[np.int32], taxonomy: Taxonomy
) -> dict[str, NDArray[np.int64]]:
    """Return the measures of R rows by name, int64 [R] each.

    FULL_PATH            1 if the prediction is correct at all levels (S §3.1), else 0.
    LOWER outside UPPER  1 if the predicted class of the lower level is not under that of the upper level, else 0.
    DISTANCE             number of edges from the true leaf up to its lowest common ancestor with the predicted leaf:
                         0 if correct, L if even the roots differ.

    predicted: the predicted class by scored level, int64 [R]. A conflict is missing unless both its levels are scored;
    FULL_PATH and DISTANCE are missing unless the leaves are. Rows without a leaf (label -1) have meaningless values.
    """
    measures: dict[str, NDArray[np.int64]] = {}
    levels, ancestors_CL = taxonomy.levels, taxonomy.ancestors()
    for lower, upper in compared_levels(levels):
        if lower in predicted and upper in predicted:
            outside_R = taxonomy.ancestors_of(predicted[lower], lower, upper) != predicted[upper]
            measures[conflict_name(lower, upper)] = outside_R.astype(np.int64)
    if levels[-1] in predicted:
        predicted_RL = ancestors_CL[predicted[levels[-1]]]
        true_RL = ancestors_CL[labels_RL[:, -1]]
        measures[DISTANCE] = (predicted_RL != true_RL).sum(axis=1, dtype=np.int64)
        correct_R = measures[DISTANCE] == 0
        for column, level in enumerate(levels[:-1]):
            if level in predicted:
                correct_R &= predicted[level] == labels_RL[:, column]
        measures[FULL_PATH] = correct_R.astype(np.int64)
    return measures
