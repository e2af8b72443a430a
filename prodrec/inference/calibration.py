"""How far the probabilities of a run can be trusted, measured on validation photos.

The scores s of the deepest level are divided by a temperature, which minimises the negative log-likelihood (Guo et al.
2017, "On calibration of modern neural networks", eq. 9). A class of a shallower level has the sum of the probabilities
of the classes below it:

    p_c = softmax(s / T)_c        p_u = Σ_c p_c, over the classes c below u

**Back-off.** The answer for a photo is the best class of the deepest level at which its probability reaches the
threshold of the level. `thresholds` finds, from the deepest level to the shallowest, the smallest threshold at which
the answers of the level are right as often as requested, over the photos that no deeper level answers.

Shapes: M validation photos, L levels from the shallowest to the deepest that is scored, K best classes, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import Fingerprint, make_header, read_json_file
from prodrec.core.base.errors import BadArtefact
from prodrec.core.base.outputs import write_json
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.inference.calibration_file import CalibrationsFile

CALIBRATION_FILE = "calibration.json"
TEMPERATURES = np.geomspace(0.2, 5.0, 129)
"""Candidates for T, 2.5 % apart."""
MAX_PHOTOS = 4000
"""Validation photos that the file keeps, evenly chosen, to find thresholds."""
NEVER = 2.0
"""Threshold that no probability reaches."""
BINS = 15
BEST_CLASSES = 200
"""Classes of every photo whose scores count; the others have hardly any probability."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of an operating point.

    temperature:   T
    levels:        the L levels
    confidence_ML: probability of the best class of every level, of validation photos
    correct_ML:    whether it is the class of the photo
    ece_before, ece_after: expected calibration error of the deepest level with T = 1 and with T, on these photos
    voters:        fingerprint of the training vectors that vote; empty without neighbours
    """

    temperature: float
    levels: tuple[str, ...]
    confidence_ML: NDArray[np.float64]
    correct_ML: NDArray[np.bool_]
    ece_before: float
    ece_after: float
    voters: str = ""

    def thresholds(self, precision: float) -> dict[str, float]:
        """Return the threshold of every level at which answers of the level are right with this probability, or NEVER.

        They must be right by one standard error more often, √(precision · (1 − precision) / answers), so that it holds
        on other photos too, and one answer more is counted as wrong than there are.
        """
        found, remaining_M = {}, np.ones(len(self.confidence_ML), np.bool_)
        for column in reversed(range(len(self.levels))):
            confidence_m, correct_m = self.confidence_ML[remaining_M, column], self.correct_ML[remaining_M, column]
            order_m = np.argsort(-confidence_m, kind="stable")
            answers_m = np.arange(1.0, len(order_m) + 1)
            right_m = np.cumsum(correct_m[order_m]) / (answers_m + 1)
            enough = np.flatnonzero(right_m >= precision + np.sqrt(precision * (1 - precision) / answers_m))
            threshold = float(confidence_m[order_m[enough[-1]]]) if len(enough) else NEVER
            found[self.levels[column]] = threshold
            remaining_M &= self.confidence_ML[:, column] < threshold
        return found

    def as_json(self) -> dict[str, Any]:
        """Return plain values; probabilities have four digits."""
        values = asdict(self)
        confidence_ML, correct_ML = values.pop("confidence_ML"), values.pop("correct_ML")
        columns = {
            level: {"confidence": confidence_ML[:, i].round(4).tolist(), "correct": correct_ML[:, i].tolist()}
            for i, level in enumerate(self.levels)
        }
        return {**values, "levels": list(self.levels), "photos": columns}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `as_json` described. Raise ValueError if its levels have different photos."""
        photos = [values["photos"][level] for level in values["levels"]]
        return cls(
            values["temperature"],
            tuple(values["levels"]),
            np.array([level["confidence"] for level in photos], np.float64).T,
            np.array([level["correct"] for level in photos], np.bool_).T,
            values["ece_before"],
            values["ece_after"],
            values["voters"],
        )


def probabilities(scores_BC: NDArray[Any], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return softmax(s / T) over the last axis."""
    scaled_BC = scores_BC.astype(np.float64) / temperature
    powers_BC = np.exp(scaled_BC - scaled_BC.max(axis=-1, keepdims=True))
    result_BC: NDArray[np.float64] = powers_BC / powers_BC.sum(axis=-1, keepdims=True)
    return result_BC


def best_at_level(
    p_BK: NDArray[np.float64], class_BK: NDArray[np.integer], taxonomy: Taxonomy, lower: str, upper: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the class of level `upper` with the largest sum of probabilities of `class_BK` below it, and this sum."""
    ancestor_BK = taxonomy.ancestors_of(class_BK.ravel(), lower, upper).reshape(class_BK.shape).astype(np.int64)
    best_B, p_B = np.empty(len(p_BK), np.int64), np.empty(len(p_BK))
    for row, (ancestor_K, p_K) in enumerate(zip(ancestor_BK, p_BK, strict=True)):
        classes, position_K = np.unique(ancestor_K, return_inverse=True)
        sums = np.bincount(position_K, weights=p_K)
        best_B[row], p_B[row] = classes[sums.argmax()], sums.max()
    return best_B, p_B


def fit_calibration(
    scores_MK: NDArray[Any],
    class_MK: NDArray[np.integer],
    label_M: NDArray[np.integer],
    *,
    taxonomy: Taxonomy,
    level: str,
    voters: str = "",
) -> Calibration:
    """Return the calibration of scores on validation photos, which all have a label at `level`.

    scores_MK, class_MK: the K best scores of every photo, and their classes
    """
    is_true_MK = class_MK == label_M[:, None]
    known_M = is_true_MK.any(axis=1)
    losses = [
        -float(np.log(probabilities(scores_MK[known_M], t)[is_true_MK[known_M]].clip(1e-300)).mean())
        for t in (TEMPERATURES if known_M.any() else ())
    ]
    temperature = float(TEMPERATURES[int(np.argmin(losses))]) if losses else 1.0
    columns: list[tuple[NDArray[np.float64], NDArray[np.bool_]]] = []
    levels = taxonomy.levels[: taxonomy.levels.index(level) + 1]
    p_MK = probabilities(scores_MK, temperature)
    for upper in levels:
        best_M, p_M = best_at_level(p_MK, class_MK, taxonomy, level, upper)
        columns.append((p_M, best_M == taxonomy.ancestors_of(label_M, level, upper)))
    best_before_M = probabilities(scores_MK).max(axis=1)
    kept = np.unique(np.linspace(0, len(label_M) - 1, min(len(label_M), MAX_PHOTOS)).astype(np.int64))
    return Calibration(
        temperature=temperature,
        levels=levels,
        confidence_ML=np.stack([p_M for p_M, _ in columns], axis=1)[kept],
        correct_ML=np.stack([correct_M for _, correct_M in columns], axis=1)[kept],
        ece_before=expected_calibration_error(best_before_M, columns[-1][1]),
        ece_after=expected_calibration_error(*columns[-1]),
        voters=voters,
    )


def expected_calibration_error(confidence_M: NDArray[np.float64], correct_M: NDArray[np.bool_]) -> float:
    """Return the mean distance of confidence and accuracy over BINS equal bins, by photos (Guo et al. 2017, eq. 3)."""
    bin_M = np.minimum((confidence_M * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bin_M, weights=confidence_M - correct_M, minlength=BINS)
    return float(np.abs(gaps).sum() / max(1, len(confidence_M)))


def write_calibrations(path: Path, calibrations: Mapping[str, Calibration], *, run_fingerprint: str) -> None:
    """Write the calibration of every operating point, by name, atomically."""
    points = {name: calibration.as_json() for name, calibration in calibrations.items()}
    fingerprint = Fingerprint().add("points", points).hexdigest()
    header = make_header("calibration", fingerprint=fingerprint, made_from={"run": run_fingerprint})
    write_json(path, {**header, "points": points}, indent=None)


def read_calibrations(path: Path, *, run_fingerprint: str) -> dict[str, Calibration]:
    """Read the file. Raise BadArtefact if it is damaged or was made for other weights."""
    remedy = f"make it again with `prodrec neighbours {path.parent}`"
    content = read_json_file(
        path, kind="calibration", schema=CalibrationsFile, remedy=remedy, run_fingerprint=run_fingerprint
    )
    try:
        return {name: Calibration.from_json(point) for name, point in content["points"].items()}
    except (ValueError, KeyError) as error:
        raise BadArtefact(f"{path} is damaged ({error}); {remedy}.") from error
