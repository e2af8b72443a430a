"""Which rows are not kept, and why: every row has at most one reason, the first that was found.

Ten million rows may be rejected: reasons and details are numbers by row, and their texts stand once.

Shapes: N rows of all tables together, R rows that are rejected at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

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

    code_N: uint8, an index into reasons; detail_N: int32, an index into texts, of which the first is empty
    """

    code_N: NDArray[np.uint8]
    detail_N: NDArray[np.int32]
    texts: pl.Series
    reasons: list[str] = field(default_factory=lambda: [""])

    @classmethod
    def of(cls, rows: int) -> Rejects:
        import polars as pl

        return cls(np.zeros(rows, np.uint8), np.zeros(rows, np.int32), pl.Series("detail", [""]))

    @property
    def kept(self) -> NDArray[np.int64]:
        """The rows that are kept so far, ascending."""
        return np.flatnonzero(self.code_N == 0)

    def add(
        self,
        reason: str,
        rows_R: NDArray[np.int64],
        detail: str | Sequence[str] | pl.Series = "",
        which_R: NDArray[np.integer] | None = None,
    ) -> None:
        """Reject those of `rows_R` that are still kept.

        detail: one text for all, or several, of which `which_R` has the number of every row's
        """
        import polars as pl

        if reason not in self.reasons:
            self.reasons.append(reason)
        new_R = self.code_N[rows_R] == 0
        rows_R = rows_R[new_R]
        self.code_N[rows_R] = self.reasons.index(reason)
        if isinstance(detail, str):
            if not detail:
                return
            detail, which_R = [detail], np.zeros(len(new_R), np.int64)
        assert which_R is not None
        used, which_R = np.unique(which_R[new_R], return_inverse=True)
        self.detail_N[rows_R] = which_R + len(self.texts)
        texts = detail if isinstance(detail, pl.Series) else pl.Series(detail, dtype=pl.String)
        self.texts = pl.concat([self.texts, texts.gather(used).alias("detail")])

    def counts(self) -> dict[str, int]:
        """Rejected rows by reason, most frequent first."""
        counts = np.bincount(self.code_N, minlength=len(self.reasons))
        found = {reason: int(counts[i]) for i, reason in enumerate(self.reasons) if i and counts[i]}
        return dict(sorted(found.items(), key=lambda item: -item[1]))
