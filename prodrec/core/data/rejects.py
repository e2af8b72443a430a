"""Which rows are not kept, and why: every row has at most one reason, the first that was found.

Shapes: N rows of all tables together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NO_CATEGORY = "no category"
OTHER_DEPTH = "category of another depth"
MISSING = "missing photo"
CONFLICT = "conflicting labels"
RARE_LEAF = "leaf below --min-leaf-images"
NO_ATTRIBUTE = "no attribute"
NO_SPLIT = "unknown split"
WORDLESS = "title without words"


@dataclass
class Rejects:
    """Reasons and details by row; code 0 is a row that is kept."""

    code_N: NDArray[np.uint8]
    reasons: list[str] = field(default_factory=lambda: [""])
    details: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: int) -> Rejects:
        return cls(np.zeros(rows, np.uint8))

    @property
    def kept(self) -> NDArray[np.int64]:
        """The rows that are kept so far, ascending."""
        return np.flatnonzero(self.code_N == 0)

    def add(self, reason: str, rows: NDArray[np.int64], detail: str | Mapping[int, str] = "") -> None:
        """Reject those of `rows` that are still kept; `detail` is one text for all or a text by row."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        new = rows[self.code_N[rows] == 0]
        self.code_N[new] = self.reasons.index(reason)
        for row in new.tolist():
            text = detail if isinstance(detail, str) else detail.get(row, "")
            if text:
                self.details[row] = text

    def counts(self) -> dict[str, int]:
        """Rejected rows by reason, most frequent first."""
        counts = np.bincount(self.code_N, minlength=len(self.reasons))
        found = {reason: int(counts[i]) for i, reason in enumerate(self.reasons) if i and counts[i]}
        return dict(sorted(found.items(), key=lambda item: -item[1]))
