"""Top-1 accuracy of every level before and after refinement: ACC over images, MACC as the mean over classes.

An image is counted at the levels at which it has a label.

Shapes: R rows; C classes of a level; K top-k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.accuracy import accuracy, mean_class_accuracy
from prodrec.eval.report.positions import true_position, true_position_in_top_k


@dataclass(frozen=True)
class AccuracyChange:
    """One metric of one level on one split, in percent, before and after refinement.

    metric:  ACC or MACC.
    rows:    images with a label at the level.
    classes: classes that have an image.
    fitted:  whether the classes had rows to fit on: True or False for a part of them, None for all.
    """

    split: str
    level: str
    metric: str
    rows: int
    classes: int
    before: float
    after: float
    fitted: bool | None = None

    def __str__(self) -> str:
        return f"{self.split} {self.level_and_part} {self.metric}: {self.before:.2f} → {self.after:.2f} %"

    @property
    def level_and_part(self) -> str:
        """The level, and for a part of its classes whether they had rows to fit on."""
        if self.fitted is None:
            return self.level
        return f"{self.level}, classes {'with' if self.fitted else 'without'} fit rows"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class CorrectCounts:
    """Rows of every class, and how many of them are correct before and after refinement: int64 [C] each."""

    rows_C: NDArray[np.int64]
    before_C: NDArray[np.int64]
    after_C: NDArray[np.int64]


@dataclass
class AccuracyCounter:
    """Counts the rows that are correct, by split and level, one chunk at a time."""

    counts: dict[tuple[str, str], CorrectCounts] = field(default_factory=dict)

    def add(
        self,
        split: str,
        level: str,
        label_R: NDArray[np.int64],
        raw: NDArray[np.float32],
        refined: NDArray[np.float32],
        classes_RK: NDArray[np.int32] | None,
        class_count: int,
    ) -> None:
        """Count the rows of a chunk, and those that are correct by their raw and by their refined scores.

        label_R:      index of the true class; -1 for a row that has none, which is not counted.
        raw, refined: scores, R×C, or R×K if `classes_RK` is not None.
        classes_RK:   class indices of the top-k scores.
        class_count:  C.
        """
        labelled_R = label_R >= 0
        if not labelled_R.all():
            label_R, raw, refined = label_R[labelled_R], raw[labelled_R], refined[labelled_R]
            classes_RK = None if classes_RK is None else classes_RK[labelled_R]
        if not len(label_R):
            return
        if (split, level) not in self.counts:
            self.counts[split, level] = CorrectCounts(*(np.zeros(class_count, dtype=np.int64) for _ in range(3)))
        counts = self.counts[split, level]
        np.add.at(counts.rows_C, label_R, 1)
        for scores, correct_C in ((raw, counts.before_C), (refined, counts.after_C)):
            if classes_RK is None:
                position_R = true_position(scores, label_R)
            else:
                position_R = true_position_in_top_k(scores, classes_RK, label_R)
            np.add.at(correct_C, label_R[position_R == 0], 1)

    def changes(self, covered: Mapping[str, NDArray[np.bool_]] | None = None) -> list[AccuracyChange]:
        """Return ACC and MACC of every split and level.

        covered: for every level, which classes had rows to fit on, bool [C]. If the rows of a split are of classes with
                 and of classes without, their figures follow those of all.
        """
        changes = []
        for (split, level), counts in self.counts.items():
            has_rows_C = counts.rows_C > 0
            parts: list[tuple[bool | None, NDArray[np.bool_]]] = [(None, has_rows_C)]
            if covered is not None and (without_rows := int((has_rows_C & ~covered[level]).sum())) > 0:
                if without_rows < int(has_rows_C.sum()):
                    parts.append((True, has_rows_C & covered[level]))
                parts.append((False, has_rows_C & ~covered[level]))
            for fitted, in_part_C in parts:
                rows_C = counts.rows_C[in_part_C]
                for metric, compute in (("ACC", accuracy), ("MACC", mean_class_accuracy)):
                    before, after = (
                        round(100 * compute(correct_C[in_part_C], rows_C), 4)
                        for correct_C in (counts.before_C, counts.after_C)
                    )
                    rows, classes = int(rows_C.sum()), len(rows_C)
                    changes.append(AccuracyChange(split, level, metric, rows, classes, before, after, fitted))
        return changes
