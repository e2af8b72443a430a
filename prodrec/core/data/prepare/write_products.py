"""Write products.parquet: one row for every product, with class and attribute names in place of codes.

Shapes: N kept rows, r rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.texts import Texts
from prodrec.core.data.prepare.contents import DatasetContents
from prodrec.core.data.tables.borrowed_titles import LENDER_COLUMN, SIMILARITY_COLUMN

if TYPE_CHECKING:
    import polars as pl

MIN_ROWS_FOR_PROGRESS = 1_000_000
"""Fewer rows are written within a second or two."""


def write_products(path: Path, contents: DatasetContents) -> None:
    """Write `path`, chunk by chunk.

    The columns are row, table, table_row, id, image, title, with --borrowed-titles its lender and similarity, split,
    group, width and height of photos, level_… and attribute_….
    """
    from polars.io.plugins import register_io_source

    total = len(contents.rows_N)
    with console.progress("writing products", total=total, unit="products", minimum=MIN_ROWS_FOR_PROGRESS) as advance:

        def read(*_: object) -> Iterator[pl.DataFrame]:  # polars passes column and row selections, here always none
            for chunk in _product_chunks(contents):
                yield chunk
                advance(chunk.height)

        schema = next(_product_chunks(contents)).schema
        lazy: pl.LazyFrame = register_io_source(read, schema=schema)
        lazy.sink_parquet(path)


def _product_chunks(contents: DatasetContents) -> Iterator[pl.DataFrame]:
    """Yield products.parquet in the chunks of the catalogue."""
    import polars as pl

    taxonomy = contents.taxonomy
    level_names = [to_series(names) for names in taxonomy.names]
    state_names = [to_series((None, *attribute.states)) for attribute in contents.attributes]
    split_names, table_names = to_series(SPLITS), to_series(contents.catalogue.table_names)
    texts = ["table_row", "id", "image", "title"]
    if contents.catalogue.borrowed_titles is not None:
        texts += [LENDER_COLUMN, SIMILARITY_COLUMN]
    start = 0
    for chunk in contents.catalogue.read_chunks("table", *texts, rows_R=contents.rows_N):
        rows = slice(start, start + chunk.height)
        columns = [
            pl.Series("row", np.arange(rows.start, rows.stop, dtype=np.int64)),
            decode_column("table", table_names, chunk["table"].to_numpy()),
            *(chunk[name] for name in texts),
            decode_column("split", split_names, contents.split_N[rows]),
            pl.Series("group", contents.group_N[rows]),
            *contents.inputs.product_columns(contents.rows_N[rows]),
        ]
        for level, names, code_r in zip(taxonomy.levels, level_names, contents.labels_NL[rows].T, strict=True):
            columns.append(decode_column(f"level_{level}", names, code_r))
        for attribute, names, code_r in zip(
            contents.attributes, state_names, contents.attributes_NA[rows].T, strict=True
        ):
            columns.append(decode_column(f"attribute_{attribute.name}", names, code_r))
        yield pl.DataFrame(columns)
        start = rows.stop


def to_series(names: Sequence[str | None]) -> pl.Series:
    """Return names as a text column, for `decode_column`."""
    import polars as pl

    return names.to_polars() if isinstance(names, Texts) else pl.Series(list(names), dtype=pl.String)


def decode_column(name: str, names: pl.Series, code_r: NDArray[Any]) -> pl.Series:
    """Return a column `name` with the names at the positions `code_r`; null for -1."""
    import polars as pl

    positions = pl.Series(code_r.astype(np.int64))
    if len(code_r) and code_r.min() < 0:
        positions = positions.replace(-1, None)
    return names.gather(positions).alias(name)
