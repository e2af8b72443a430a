"""The lists for people: rejected.csv, duplicates.csv, conflicts.csv, parents.csv.

Shapes: N rows that are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.data.dataset import SPLITS
from prodrec.core.data.duplicates import group_sizes
from prodrec.core.data.prepared import Prepared
from prodrec.core.data.write_products import column_of, names_of

if TYPE_CHECKING:
    import polars as pl

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

    group_N, leaf_N = prepared.group_N, prepared.labels_NL[:, -1]
    several = np.flatnonzero(group_sizes(group_N) > 1)
    identical = group_sizes(prepared.exact_N)[several] == group_sizes(group_N)[several]
    origin = prepared.catalogue.at(prepared.rows_N[several], *_ORIGIN)
    columns = [
        pl.Series("group", group_N[several]),
        pl.Series("row", several.astype(np.int64)),
        *(
            column.alias("table_row" if column.name == "row" else column.name)
            for column in _origin(origin, column_of(prepared.table_names))
        ),
        names_of("split", column_of(SPLITS), prepared.split_N[several]),
        names_of("leaf", column_of(prepared.taxonomy.leaves), leaf_N[several]),
        pl.Series("kind", np.where(identical, "identical", "near"), dtype=pl.String),
        *prepared.inputs.hashes(prepared.rows_N[several]),
    ]
    pl.DataFrame(columns).sort("group", "row").write_csv(path)


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

    lines = [
        (several.level, several.name, parent, rows, "yes" if i == 0 else "no")
        for several in prepared.labelled.several_parents
        for i, (parent, rows) in enumerate(zip(several.parents, several.rows, strict=True))
    ]
    schema = {"level": pl.String, "class": pl.String, "parent": pl.String, "rows": pl.Int64, "taken": pl.String}
    pl.DataFrame(lines, schema=schema, orient="row").write_csv(path)


def _origin(frame: pl.DataFrame, tables: pl.Series) -> list[pl.Series]:
    """Where rows stand: table, row, id, image."""
    table = names_of("table", tables, frame["table"].to_numpy())
    return [table, frame["table_row"].alias("row"), frame["id"], frame["image"]]
