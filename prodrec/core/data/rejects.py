"""Which rows are not kept, and why: every row has at most one reason, the first that was found.

Ten million rows may be rejected: reasons and details are numbers by row, and their texts stand once.

Shapes: N rows of all tables together, R rows that are rejected at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Reasons and details by row; code 0 is a row that is kept, detail 0 is none.

    code_N: uint8, an index into reasons; detail_N: int32, an index into texts
    """

    code_N: NDArray[np.uint8]
    detail_N: NDArray[np.int32]
    reasons: list[str] = field(default_factory=lambda: [""])
    texts: list[str] = field(default_factory=lambda: [""])

    @classmethod
    def of(cls, rows: int) -> Rejects:
        return cls(np.zeros(rows, np.uint8), np.zeros(rows, np.int32))

    @property
    def kept(self) -> NDArray[np.int64]:
        """The rows that are kept so far, ascending."""
        return np.flatnonzero(self.code_N == 0)

    @property
    def details(self) -> dict[int, str]:
        """The detail of every row that has one."""
        rows = np.flatnonzero(self.detail_N)
        found = zip(rows.tolist(), self.detail_N[rows].tolist(), strict=True)
        return {row: self.texts[which] for row, which in found if self.texts[which]}

    def add(
        self,
        reason: str,
        rows_R: NDArray[np.int64],
        detail: str | Mapping[int, str] | Sequence[str] = "",
        which_R: NDArray[np.integer] | None = None,
    ) -> None:
        """Reject those of `rows_R` that are still kept.

        detail: one text for all, or a text by row, or a list of texts, of which `which_R` has the number of every row's
        """
        if reason not in self.reasons:
            self.reasons.append(reason)
        new_R = self.code_N[rows_R] == 0
        rows_R = rows_R[new_R]
        self.code_N[rows_R] = self.reasons.index(reason)
        if isinstance(detail, str):
            detail, which_R = [detail] if detail else [], np.zeros(len(rows_R), np.int64)
        elif isinstance(detail, Mapping):
            detail, which_R = [detail.get(row, "") for row in rows_R.tolist()], np.arange(len(rows_R))
        else:
            assert which_R is not None
            which_R = which_R[new_R]
        if detail:
            self.detail_N[rows_R] = which_R + len(self.texts)
            self.texts += detail

    def counts(self) -> dict[str, int]:
        """Rejected rows by reason, most frequent first."""
        counts = np.bincount(self.code_N, minlength=len(self.reasons))
        found = {reason: int(counts[i]) for i, reason in enumerate(self.reasons) if i and counts[i]}
        return dict(sorted(found.items(), key=lambda item: -item[1]))
