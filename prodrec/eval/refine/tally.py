"""Before and after: top-1 accuracy of every level on rows that no fit has seen. ACC over images, MACC over classes.

Shapes: R rows; C classes of a level; K best classes kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.report.metrics import rank, rank_kept


@dataclass
class Counts:
    """Rows of every class, and how many were right before and after: int64 [C] each."""

    rows_C: NDArray[np.int64]
    before_C: NDArray[np.int64]
    after_C: NDArray[np.int64]


@dataclass
class Tally:
    """Counts by (split, level)."""

    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)

    def add(
        self,
        split: str,
        level: str,
        label_R: NDArray[np.int64],
        raw: NDArray[np.float32],
        refined: NDArray[np.float32],
        classes: NDArray[np.int32] | None,
        count: int,
    ) -> None:
        """Judge rows by their raw and refined scores, R×C, or R×K with `classes`; `count` classes in all."""
        if (split, level) not in self.counts:
            self.counts[split, level] = Counts(*(np.zeros(count, dtype=np.int64) for _ in range(3)))
        found = self.counts[split, level]
        np.add.at(found.rows_C, label_R, 1)
        for scores, right_C in ((raw, found.before_C), (refined, found.after_C)):
            place = rank(scores, label_R) if classes is None else rank_kept(scores, classes, label_R)
            np.add.at(right_C, label_R[place == 0], 1)

    def figures(self) -> list[dict[str, Any]]:
        """Percentages, one entry for each split, level and metric."""
        found = []
        for (split, level), counts in self.counts.items():
            some = counts.rows_C > 0
            rows = int(counts.rows_C.sum())
            for metric in ("ACC", "MACC"):
                before, after = (
                    float(right.sum() / rows) if metric == "ACC" else float((right[some] / counts.rows_C[some]).mean())
                    for right in (counts.before_C, counts.after_C)
                )
                found.append(
                    {
                        "split": split,
                        "level": level,
                        "metric": metric,
                        "rows": rows,
                        "classes": int(some.sum()),
                        "before": round(100 * before, 4),
                        "after": round(100 * after, 4),
                    }
                )
        return found
