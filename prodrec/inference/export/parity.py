"""The outputs of a graph compared with those of the run in torch.

Shapes: B photos, K numbers of an output, C classes of the deepest level, U of a level above it, m states of an
attribute, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.inference.calibration import probabilities
from prodrec.inference.export.graphs import ATTRIBUTE, FEATURE, PROBABILITIES, SCORES, VECTOR, output_name

if TYPE_CHECKING:
    from prodrec.core.base.taxonomy import Attribute, Taxonomy
    from prodrec.inference.neighbours.protocols import BatchScores

TOLERANCE = 1e-3
"""Largest difference of a probability, or of a feature as a share of the largest one of its photo. Other software adds
in another order, which makes differences of 1e-6 to 1e-4, depending on the depth of the network."""

Outputs = Mapping[str, NDArray[Any]]


@dataclass
class Comparison:
    """The differences of outputs, over all photos that were added.

    photos:     their number
    largest:    largest difference of every output; see TOLERANCE
    same_best:  photos with the same best class, for each output with scores or probabilities
    """

    photos: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    same_best: dict[str, int] = field(default_factory=dict)

    def add(self, actual: Outputs, expected: Outputs) -> None:
        """Add the photos of a batch. Both must have the same outputs."""
        assert actual.keys() == expected.keys(), f"{sorted(actual)} are not {sorted(expected)}"
        for name, values_BK in actual.items():
            difference = difference_of(name, values_BK, expected[name])
            self.largest[name] = max(self.largest.get(name, 0.0), difference)
            if not is_feature(name):
                same = int((values_BK.argmax(1) == expected[name].argmax(1)).sum())
                self.same_best[name] = self.same_best.get(name, 0) + same
        self.photos += len(next(iter(actual.values())))

    @property
    def largest_difference(self) -> float:
        """The largest difference of all outputs."""
        return max(self.largest.values())

    @property
    def same_best_shares(self) -> dict[str, float]:
        """The share of the photos with the same best class, by output."""
        return {name: count / self.photos for name, count in self.same_best.items()}


def is_feature(name: str) -> bool:
    """Return whether an output has features, not scores or probabilities of classes."""
    return name in (FEATURE, VECTOR)


def difference_of(name: str, actual_BK: NDArray[Any], expected_BK: NDArray[Any]) -> float:
    """Return the largest difference of an output of several photos; NaN counts as infinite."""
    if name.startswith((f"{SCORES}_", f"{ATTRIBUTE}_")):
        actual_BK, expected_BK = probabilities(actual_BK), probabilities(expected_BK)
    difference_B = np.abs(actual_BK.astype(np.float64) - expected_BK).max(axis=1)
    if is_feature(name):
        difference_B = difference_B / np.maximum(np.abs(expected_BK).max(axis=1), np.finfo(np.float32).tiny)
    return float(np.nan_to_num(difference_B, nan=np.inf).max())


def outputs_of_run(
    scored: BatchScores,
    vector_BD: NDArray[Any] | None,
    *,
    taxonomy: Taxonomy,
    attributes: Iterable[Attribute],
    temperature: float,
) -> dict[str, NDArray[Any]]:
    """Return what a complete graph computes, from the scores of the run; `graphs.py` has the order.

    vector_BD: vectors by which photos are compared; None for a network that predicts attributes alone
    """
    outputs = {FEATURE: scored.features_BD.cpu().numpy()}
    levels = list(scored.scores)
    for level in levels:
        outputs[output_name(SCORES, level, taxonomy.levels.index(level))] = scored.scores[level].float().cpu().numpy()
    if levels:
        assert vector_BD is not None
        outputs[VECTOR] = vector_BD
        p_BC = probabilities(scored.scores[levels[-1]].double().cpu().numpy(), temperature)
        for depth, level in enumerate(taxonomy.levels[: taxonomy.levels.index(levels[-1]) + 1]):
            p_BU = np.zeros((len(p_BC), taxonomy.count(level)))
            np.add.at(p_BU.T, taxonomy.ancestors_of_level(levels[-1], level), p_BC.T)
            outputs[output_name(PROBABILITIES, level, depth)] = p_BU
    for number, attribute in enumerate(attributes):
        if attribute.name in scored.attribute_scores:
            values_Bm = scored.attribute_scores[attribute.name]
            outputs[output_name(ATTRIBUTE, attribute.name, number)] = values_Bm.float().cpu().numpy()
    return outputs
