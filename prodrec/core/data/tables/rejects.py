"""Record which rows are rejected and why. A row has at most one reason, the first one recorded.

Tens of millions of rows may be rejected, so reasons and details are stored as codes per row, and each text once.

Shapes: M rows of all tables, R rows of one call, D texts of one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

MALFORMED_ROW = "malformed row"
BLANK_ROW = "blank row"
SKIPPED_FILE = "not a photo"
NO_CATEGORY = "no category"
MISSING_PHOTO = "missing photo"
CONFLICT = "conflicting labels"
RARE_LEAF = "leaf below --min-leaf-images"
NO_ATTRIBUTE = "no attribute"
UNKNOWN_SPLIT = "unknown split"
REMOVED = "removed by a correction"
NO_WORDS = "title without words"


@dataclass
class Rejects:
    """The reason and the detail of every row, as codes; code 0 of both means none.

    reason_M: uint8, an index into `reasons`; 0 for a row that is kept
    detail_M: int32, an index into `details`; 0 for a row without detail
    details:  texts that explain the reason for one or several rows; the first one is empty
    reasons:  texts for the column `reason` of rejected.csv; the first one is empty
    """

    reason_M: NDArray[np.uint8]
    detail_M: NDArray[np.int32]
    details: pl.Series
    reasons: list[str] = field(default_factory=lambda: [""])

    @classmethod
    def for_rows(cls, row_count: int) -> Rejects:
        """Return an empty record for `row_count` rows."""
        import polars as pl

        return cls(np.zeros(row_count, np.uint8), np.zeros(row_count, np.int32), pl.Series("detail", [""]))

    @property
    def kept_rows(self) -> NDArray[np.int64]:
        """The rows that are not rejected, ascending."""
        return np.flatnonzero(self.reason_M == 0)

    def add(
        self,
        reason: str,
        rows_R: NDArray[np.int64],
        details: str | Sequence[str] | pl.Series = "",
        detail_R: NDArray[np.integer] | None = None,
    ) -> None:
        """Reject `rows_R`; rows that are rejected already keep their first reason.

        details:  one text for all rows, or D texts
        detail_R: with D texts, the index of the text of every row
        """
        import polars as pl

        if reason not in self.reasons:
            self.reasons.append(reason)
        is_new_R = self.reason_M[rows_R] == 0
        rows_R = rows_R[is_new_R]
        self.reason_M[rows_R] = self.reasons.index(reason)
        if isinstance(details, str):
            if not details:
                return
            details, detail_R = [details], np.zeros(len(is_new_R), np.int64)
        assert detail_R is not None
        used, detail_R = np.unique(detail_R[is_new_R], return_inverse=True)
        self.detail_M[rows_R] = detail_R + len(self.details)
        texts = details if isinstance(details, pl.Series) else pl.Series(details, dtype=pl.String)
        self.details = pl.concat([self.details, texts.gather(used).alias("detail")])

    def counts(self) -> dict[str, int]:
        """Return the number of rejected rows by reason, most frequent first."""
        rows = np.bincount(self.reason_M, minlength=len(self.reasons))
        by_reason = {reason: int(rows[i]) for i, reason in enumerate(self.reasons) if i and rows[i]}
        return dict(sorted(by_reason.items(), key=lambda item: -item[1]))
