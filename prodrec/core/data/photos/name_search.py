"""The state of a search for the photos of names: names that have no photo yet, and the results.

Shapes: W names from the tables, w some of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

NO_MATCH = -1

RULES = (
    "as listed",
    "ignoring case",
    "by the path of a web address",
    "by base name",
    "by the base name of a web address",
    "with an ending added",
)
"""How names are matched."""

EXACT, IGNORING_CASE, WEB_PATH, BASE_NAME, WEB_BASE_NAME, ENDING_ADDED = range(len(RULES))


@dataclass
class Search:
    """The names that have no photo yet, and the results.

    table:   position, name and the columns of `name_keys.table_keys`
    listed:  photo and name
    photo_W: int64, position in the source, or NO_MATCH
    rule_W:  int8, the index in RULES of how a name was matched
    failed:  position and reason of names that have no photo
    """

    table: pl.DataFrame
    listed: pl.DataFrame
    photo_W: NDArray[np.int64]
    rule_W: NDArray[np.int8]
    failed: list[pl.DataFrame] = field(default_factory=list)

    def accept(self, matched: pl.DataFrame, rule: int) -> None:
        """Record the column `photo` of names that are matched."""
        position_w = matched["position"].to_numpy()
        self.photo_W[position_w] = matched["photo"].to_numpy()
        self.rule_W[position_w] = rule
        self._remove(matched)

    def fail(self, names: pl.DataFrame, reason: pl.Expr) -> None:
        """Record why names have no photo."""
        if names.height:
            self.failed.append(names.select("position", reason=reason))
            self._remove(names)

    def _remove(self, names: pl.DataFrame) -> None:
        if names.height == self.table.height:
            self.table = self.table.clear()
        elif names.height:
            self.table = self.table.join(names.select("position"), on="position", how="anti")

    def find(
        self, key: pl.Expr, listed: pl.DataFrame, listed_key: pl.Expr, names: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the names whose key occurs among the listed keys, with the first photo and the number of photos."""
        import polars as pl

        by_key = listed.group_by(listed_key.alias("key")).agg(pl.col("photo").first(), pl.len().alias("photos"))
        names = self.table if names is None else names
        return names.with_columns(key=key).join(by_key, on="key", how="inner")
