"""products.parquet: one row for every product, with the names that its numbers stand for. Written piece by piece.

Shapes: N rows that are kept, R of them in a piece.
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
from prodrec.core.data.prepare.prepared import Prepared

if TYPE_CHECKING:
    import polars as pl

MANY = 1_000_000
"""Fewer are written in a moment."""


def write_products(path: Path, prepared: Prepared) -> None:
    """Write `path`: row table table_row id image title split group, width height of photos, level_… attribute_…"""
    from polars.io.plugins import register_io_source

    total = len(prepared.rows_N)
    with console.progress("writing products", total=total, unit="products", least=MANY) as advance:

        def read(*_: object) -> Iterator[pl.DataFrame]:  # the whole of it is asked for
            for piece in _pieces(prepared):
                yield piece
                advance(piece.height)

        schema = next(_pieces(prepared)).schema
        lazy: pl.LazyFrame = register_io_source(read, schema=schema)
        lazy.sink_parquet(path)


def column_of(names: Sequence[str | None]) -> pl.Series:
    """Names as a column, from which `names_of` takes."""
    import polars as pl

    return names.to_polars() if isinstance(names, Texts) else pl.Series(list(names), dtype=pl.String)


def names_of(name: str, names: pl.Series, codes_R: NDArray[Any]) -> pl.Series:
    """The names that codes stand for, as a column."""
    return names.gather(codes_R.astype(np.int64)).alias(name)


def _pieces(prepared: Prepared) -> Iterator[pl.DataFrame]:
    import polars as pl

    levels = [column_of(names) for names in prepared.taxonomy.names]
    states = [column_of((None, *attribute.states)) for attribute in prepared.attributes]
    splits, tables = column_of(SPLITS), column_of(prepared.table_names)
    done = 0
    for piece in prepared.catalogue.pieces("table", "table_row", "id", "image", "title", rows=prepared.rows_N):
        here = slice(done, done + piece.height)
        columns = [
            pl.Series("row", np.arange(here.start, here.stop, dtype=np.int64)),
            names_of("table", tables, piece["table"].to_numpy()),
            *(piece[name] for name in ("table_row", "id", "image", "title")),
            names_of("split", splits, prepared.split_N[here]),
            pl.Series("group", prepared.group_N[here]),
            *prepared.inputs.columns(prepared.rows_N[here]),
        ]
        for level, names, code_R in zip(prepared.taxonomy.levels, levels, prepared.labels_NL[here].T, strict=True):
            columns.append(names_of(f"level_{level}", names, code_R))
        for attribute, names, code_R in zip(prepared.attributes, states, prepared.attributes_NA[here].T, strict=True):
            columns.append(names_of(f"attribute_{attribute.name}", names, code_R))
        yield pl.DataFrame(columns)
        done = here.stop
