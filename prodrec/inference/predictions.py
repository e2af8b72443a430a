"""The best classes of every level and the best states of every attribute, from their scores.

Shapes: B rows of a batch, C classes of a level or states of an attribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.inference.calibration import probabilities
from prodrec.inference.results import Neighbour, Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from prodrec.inference.neighbours.fused import Voter


def level_predictions(
    scores: Mapping[str, Tensor], row: int, top: int, taxonomy: Taxonomy, temperature: float = 1.0
) -> dict[str, list[Prediction]]:
    """Return the best classes of row `row` at every level, from scores B×C.

    temperature: that of the calibration, which is of the deepest level
    """
    predictions: dict[str, list[Prediction]] = {}
    deepest = next(reversed(list(scores)), None)
    for level, scores_BC in scores.items():
        best = top_probabilities(scores_BC[row], top, temperature if level == deepest else 1.0)
        predictions[level] = [Prediction(taxonomy.path(i, level), p) for i, p in best]
    return predictions


def attribute_predictions(
    scores: Mapping[str, Tensor], row: int, top: int, attributes: Sequence[Attribute]
) -> dict[str, list[Prediction]]:
    """Return the best states of row `row` of every attribute, from scores B×C."""
    states = {attribute.name: attribute.states for attribute in attributes}
    return {
        name: [Prediction((states[name][i],), p) for i, p in top_probabilities(scores_BC[row], top)]
        for name, scores_BC in scores.items()
    }


def voting_photos(voters: Sequence[Voter], taxonomy: Taxonomy, level: str | None) -> list[Neighbour]:
    """Return the training photos that vote, with the paths of their classes at `level`."""
    assert level is not None
    return [Neighbour(one.id, taxonomy.path(one.class_index, level), one.cosine, one.share) for one in voters]


def top_probabilities(scores_C: Tensor, top: int, temperature: float = 1.0) -> list[tuple[int, float]]:
    """Return index and probability, softmax(score / temperature) over C, of the `top` largest scores, largest first.

    Equal scores are in the order of their indices.
    """
    probabilities_C = probabilities(scores_C.double().cpu().numpy(), temperature)
    # only the candidates are sorted: sorting a million classes takes 0.1 s
    smallest = np.partition(probabilities_C, -top)[-top] if top < len(probabilities_C) else 0.0
    candidates = np.flatnonzero(probabilities_C >= smallest)
    best = candidates[np.argsort(-probabilities_C[candidates], kind="stable")][:top]
    return [(int(i), float(probabilities_C[i])) for i in best]
