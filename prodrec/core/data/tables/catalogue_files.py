"""Parquet files for a catalogue that does not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

CHUNK_ROWS = 1 << 17
"""Rows in memory at a time, and rows of a row group in the Parquet files."""


@dataclass
class CatalogueFiles:
    """Numbered files in `directory`."""

    directory: Path
    count: int = field(default=0, init=False)

    def store(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Compute `frame` once, write it to a new file and return a scan of that file."""
        import polars as pl

        path = self.directory / f"catalogue-{self.count}.parquet"
        self.count += 1
        frame.sink_parquet(path, compression="lz4", statistics=False, row_group_size=CHUNK_ROWS)
        return pl.scan_parquet(path, glob=False)

    def join(self, parts: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
        """Return one file with the rows of all parts."""
        import polars as pl

        return parts[0] if len(parts) == 1 else self.store(pl.concat(parts))

    def map_chunks(self, frame: pl.LazyFrame, function: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.LazyFrame:
        """Return one file with the results of `function` for every CHUNK_ROWS rows."""
        import polars as pl

        height = int(frame.select(pl.len()).collect().item())
        starts = range(0, max(height, 1), CHUNK_ROWS)
        return self.join([self.store(function(frame.slice(start, CHUNK_ROWS).collect()).lazy()) for start in starts])
