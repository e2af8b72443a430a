"""The lists for people: rejected.csv, duplicates.csv, conflicts.csv, parents.csv.

Shapes: N rows that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.duplicates import group_sizes
from prodrec.core.data.prepared import Prepared

if TYPE_CHECKING:
    import polars as pl


def named(name: str, values: Sequence[str | None], codes_N: NDArray[Any]) -> pl.Series:
    """The values that codes stand for, as a column."""
    import polars as pl

    return pl.Series(name, list(values), dtype=pl.String).gather(codes_N.astype(np.int64))


def write_rejected(path: Path, prepared: Prepared) -> None:
    """Every row that is not kept: table, row (the header is row 1), id, image, reason, detail."""
    import polars as pl

    rejected = prepared.rejected
    rows = np.flatnonzero(rejected.code_N)
    columns = [
        *_origin(prepared, rows),
        named("reason", rejected.reasons, rejected.code_N[rows]),
        named("detail", rejected.texts, rejected.detail_N[rows]),
    ]
    pl.DataFrame(columns).write_csv(path)


def write_duplicates(path: Path, prepared: Prepared, products: pl.DataFrame) -> None:
    """Every group of duplicates: its rows in the dataset and in the tables, and the hashes that joined them."""
    import polars as pl

    several = np.flatnonzero(group_sizes(prepared.group_N) > 1)
    identical = group_sizes(prepared.exact_N)[several] == group_sizes(prepared.group_N)[several]
    columns = ["group", "row", "table", "table_row", "id", "image", "split"]
    found = products[several].select(
        *columns,
        pl.col(f"level_{prepared.taxonomy.leaf_level}").alias("leaf"),
        pl.Series("kind", np.where(identical, "identical", "near"), dtype=pl.String),
        *prepared.inputs.hashes(prepared.rows_N[several]),
    )
    found.sort("group", "row").write_csv(path)


def write_conflicts(path: Path, prepared: Prepared) -> None:
    """Photos that stand, to the pixel (vectors, to the bit), under several leaves; leaves as the tables have them."""
    import polars as pl

    rows = prepared.conflict_rows
    leaf = prepared.catalogue.at(rows, f"level_{prepared.taxonomy.depth - 1}").to_series().alias("leaf")
    columns = [pl.Series("conflict", prepared.conflict_groups), *_origin(prepared, rows), leaf]
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


def _origin(prepared: Prepared, rows: NDArray[np.int64]) -> list[pl.Series]:
    """Where rows stand: table, row, id, image."""
    frame = prepared.catalogue.at(rows, "table", "table_row", "id", "image")
    return [prepared.table_names(frame), frame["table_row"].alias("row"), frame["id"], frame["image"]]
