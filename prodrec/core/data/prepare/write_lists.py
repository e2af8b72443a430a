"""The lists for people: rejected.csv, duplicates.csv, conflicts.csv, parents.csv.

Shapes: N rows that are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.duplicates.groups import group_sizes
from prodrec.core.data.prepare.prepared import Prepared
from prodrec.core.data.prepare.write_products import column_of, names_of

if TYPE_CHECKING:
    import polars as pl

AT_ONCE = 1 << 20
"""Rows of duplicates.csv that are made at a time; they stand all over the catalogue."""

_ORIGIN = ("table", "table_row", "id", "image")


def write_rejected(path: Path, prepared: Prepared) -> None:
    """Every row that is not kept: table, row (the header is row 1), id, image, reason, detail."""
    import polars as pl

    rejected, tables = prepared.rejected, column_of(prepared.table_names)
    reasons, texts = column_of(rejected.reasons), rejected.texts
    rows, done = np.flatnonzero(rejected.code_N), 0
    with path.open("wb") as stream:
        for piece in prepared.catalogue.pieces(*_ORIGIN, rows=rows):
            here = rows[done : done + piece.height]
            columns = [
                *_origin(piece, tables),
                names_of("reason", reasons, rejected.code_N[here]),
                names_of("detail", texts, rejected.detail_N[here]),
            ]
            pl.DataFrame(columns).write_csv(stream, include_header=not done)
            done += piece.height
        if not done:
            stream.write(b"table,row,id,image,reason,detail\n")


def write_duplicates(path: Path, prepared: Prepared) -> None:
    """Every group of duplicates: its rows in the dataset and in the tables, and the hashes that joined them."""
    import polars as pl

    group_N, sizes_N = prepared.group_N, group_sizes(prepared.group_N)
    several = np.flatnonzero(sizes_N > 1)
    several = several[np.argsort(group_N[several], kind="stable")]
    identical_N = group_sizes(prepared.exact_N) == sizes_N
    tables, splits = column_of(prepared.table_names), column_of(SPLITS)
    leaves, kinds = column_of(prepared.taxonomy.leaves), column_of(("near", "identical"))
    with path.open("wb") as stream:
        for start in range(0, max(len(several), 1), AT_ONCE):
            here = several[start : start + AT_ONCE]
            table, row, *names = _origin(_in_any_order(prepared, prepared.rows_N[here]), tables)
            columns = [
                pl.Series("group", group_N[here]),
                pl.Series("row", here),
                table,
                row.alias("table_row"),
                *names,
                names_of("split", splits, prepared.split_N[here]),
                names_of("leaf", leaves, prepared.labels_NL[here, -1]),
                names_of("kind", kinds, identical_N[here]),
                *prepared.inputs.hashes(prepared.rows_N[here]),
            ]
            pl.DataFrame(columns).write_csv(stream, include_header=not start)


def write_conflicts(path: Path, prepared: Prepared) -> None:
    """Photos that stand, to the pixel (vectors, to the bit), under several leaves; leaves as the tables have them."""
    import polars as pl

    rows = prepared.conflict_rows
    leaf = prepared.catalogue.at(rows, f"level_{prepared.taxonomy.depth - 1}").to_series().alias("leaf")
    origin = _origin(prepared.catalogue.at(rows, *_ORIGIN), column_of(prepared.table_names))
    columns = [pl.Series("conflict", prepared.conflict_groups), *origin, leaf]
    pl.DataFrame(columns).sort("conflict", maintain_order=True).write_csv(path)


def write_parents(path: Path, prepared: Prepared) -> None:
    """Classes under several parents, how many rows say so, and which parent was taken."""
    import polars as pl

    schema = {"level": pl.String, "class": pl.String, "parent": pl.String, "rows": pl.Int64, "taken": pl.String}
    found = [
        pl.DataFrame(
            [
                pl.repeat(several.level, len(several.rows_P), dtype=pl.String, eager=True).alias("level"),
                several.classes_P.to_polars("class"),
                several.parents_P.to_polars("parent"),
                pl.Series("rows", several.rows_P),
                names_of("taken", column_of(("no", "yes")), several.taken_P),
            ]
        )
        for several in prepared.labelled.several_parents
    ]
    pl.concat([pl.DataFrame(schema=schema), *found]).write_csv(path)


def _in_any_order(prepared: Prepared, rows_R: NDArray[np.int64]) -> pl.DataFrame:
    """Where rows stand, for _origin; the catalogue itself is read in its order."""
    order = np.argsort(rows_R)
    return prepared.catalogue.at(rows_R[order], *_ORIGIN)[np.argsort(order)]


def _origin(frame: pl.DataFrame, tables: pl.Series) -> list[pl.Series]:
    """Where rows stand: table, row, id, image."""
    table = names_of("table", tables, frame["table"].to_numpy())
    return [table, frame["table_row"].alias("row"), frame["id"], frame["image"]]
