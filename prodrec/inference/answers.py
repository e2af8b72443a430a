"""The answer for a photo, from the scores of the deepest level: see `calibration`.

Shapes: C classes, K best of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.inference.calibration import BEST_CLASSES, Calibration, best_at_level, probabilities
from prodrec.inference.results import Answer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Thresholds:
    """The probability that the answer of every level must have; a level that is not named needs none."""

    by_level: Mapping[str, float]

    @classmethod
    def choose(
        cls, levels: tuple[str, ...], calibration: Calibration | None, min_confidence: float, precision: float | None
    ) -> Thresholds:
        """Return the thresholds of options. Raise BadOption for values out of range, or a precision without validation.

        min_confidence: smallest probability at any level
        precision:      share of the answers that shall be right
        """
        for name, value in (("min-confidence", min_confidence), ("precision", precision)):
            if value is not None and not 0 <= value <= 1:
                raise BadOption(f"--{name} {value:g}: expected a probability, from 0 to 1.")
        by_level = dict.fromkeys(levels, min_confidence)
        if precision is not None:
            if calibration is None:
                raise BadOption(
                    f"--precision {precision:g} needs thresholds from validation photos, and this run has none at this "
                    "operating point: make them with `prodrec neighbours RUN`, or give --min-confidence."
                )
            found = calibration.thresholds(precision)
            by_level = {level: max(threshold, found.get(level, 0.0)) for level, threshold in by_level.items()}
        return cls(by_level)


def answer_of(
    scores: Mapping[str, Tensor], row: int, taxonomy: Taxonomy, thresholds: Thresholds, temperature: float = 1.0
) -> Answer | None:
    """Return the answer for a row of scores by level, the deepest last; None for a network without levels."""
    if not scores:
        return None
    level = next(reversed(list(scores)))
    return answer(scores[level][row].float().cpu().numpy(), taxonomy, level, thresholds, temperature)


def answer(
    scores_C: NDArray[Any], taxonomy: Taxonomy, level: str, thresholds: Thresholds, temperature: float = 1.0
) -> Answer:
    """Return the best class of the deepest level whose probability reaches its threshold.

    scores_C: scores of the classes of `level`
    """
    best_K = np.argpartition(-scores_C, BEST_CLASSES - 1)[:BEST_CLASSES] if len(scores_C) > BEST_CLASSES else None
    class_1K = (np.arange(len(scores_C)) if best_K is None else np.sort(best_K))[None]
    p_1K = probabilities(scores_C[class_1K], temperature)
    levels = taxonomy.levels[: taxonomy.levels.index(level) + 1]
    for depth, upper in reversed(list(enumerate(levels, start=1))):
        (best,), (confidence,) = best_at_level(p_1K, class_1K, taxonomy, level, upper)
        if confidence < thresholds.by_level.get(upper, 0.0):
            continue
        confidences = []
        for above in levels[:depth]:
            (ancestor,) = taxonomy.ancestors_of(np.array([best]), upper, above)
            is_below_K = taxonomy.ancestors_of(class_1K[0], level, above) == ancestor
            confidences.append(float(p_1K[0, is_below_K].sum()))
        return Answer(levels[:depth], taxonomy.path(int(best), upper), tuple(confidences))
    return Answer((), (), ())
