"""Write the lists for the user: rejected.csv, duplicates.csv, conflicts.csv and parents.csv.

Shapes: M rows of all tables, N kept rows, r rows of a chunk, K rows with conflicting labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.csv_cells import write_csv
from prodrec.core.data.duplicates.groups import group_sizes
from prodrec.core.data.prepare.contents import DatasetContents
from prodrec.core.data.prepare.write_products import decode_column, to_series
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects

if TYPE_CHECKING:
    import polars as pl

CHUNK_ROWS = 1 << 20
"""Rows of duplicates.csv that are written at a time. Every chunk reads the whole catalogue, so chunks are large."""

_ORIGIN = ("table", "table_row", "id", "image")


def write_rejected(path: Path, catalogue: Catalogue, rejected: Rejects) -> None:
    """Write every rejected row: table, row (the header is row 1), id, image, reason, detail."""
    import polars as pl

    tables = to_series(catalogue.table_names)
    reasons = to_series(rejected.reasons)
    rows, written = np.flatnonzero(rejected.reason_M), 0
    with path.open("wb") as stream:
        for chunk in catalogue.read_chunks(*_ORIGIN, rows_R=rows):
            rows_r = rows[written : written + chunk.height]
            columns = [
                *_origin_columns(chunk, tables),
                decode_column("reason", reasons, rejected.reason_M[rows_r]),
                decode_column("detail", rejected.details, rejected.detail_M[rows_r]),
            ]
            write_csv(pl.DataFrame(columns), stream, include_header=not written)
            written += chunk.height
        if not written:
            stream.write(b"table,row,id,image,reason,detail\n")


def write_duplicates(path: Path, contents: DatasetContents) -> None:
    """Write the groups of several rows, one group after the other.

    The columns are the group, the row in the dataset and its origin in the tables, split, leaf, whether the group is
    identical or near-identical, and the hashes.
    """
    import polars as pl

    group_N, size_N = contents.duplicate_N, group_sizes(contents.duplicate_N)
    is_identical_N = group_sizes(contents.identical_N) == size_N
    duplicates = np.flatnonzero(size_N > 1)
    duplicates = duplicates[np.argsort(group_N[duplicates], kind="stable")]
    tables, splits = to_series(contents.catalogue.table_names), to_series(SPLITS)
    leaves, kinds = to_series(contents.taxonomy.leaves), to_series(("near", "identical"))
    with path.open("wb") as stream:
        for start in range(0, max(len(duplicates), 1), CHUNK_ROWS):
            rows_r = duplicates[start : start + CHUNK_ROWS]
            catalogue_rows_r = contents.rows_N[rows_r]
            origin = contents.catalogue.read_rows(catalogue_rows_r, *_ORIGIN)
            table, table_row, id_, image = _origin_columns(origin, tables)
            columns = [
                pl.Series("group", group_N[rows_r]),
                pl.Series("row", rows_r),
                table,
                table_row.alias("table_row"),
                id_,
                image,
                decode_column("split", splits, contents.split_N[rows_r]),
                decode_column("leaf", leaves, contents.labels_NL[rows_r, -1]),
                decode_column("kind", kinds, is_identical_N[rows_r]),
                *contents.inputs.hash_columns(catalogue_rows_r),
            ]
            write_csv(pl.DataFrame(columns), stream, include_header=not start)


def write_conflicts(path: Path, contents: DatasetContents) -> None:
    """Write the rows whose identical photos or vectors have several leaves, with the leaves named in the tables."""
    import polars as pl

    leaf_column = f"level_{contents.taxonomy.depth - 1}"
    rows = contents.catalogue.read_rows(contents.conflict_rows_K, *_ORIGIN, leaf_column)
    columns = [
        pl.Series("conflict", contents.conflict_group_K),
        *_origin_columns(rows, to_series(contents.catalogue.table_names)),
        rows[leaf_column].alias("leaf"),
    ]
    write_csv(pl.DataFrame(columns).sort("conflict", maintain_order=True), path)


def write_parents(path: Path, contents: DatasetContents) -> None:
    """Write the classes under several parents, the number of rows of each, and which parent was chosen."""
    import polars as pl

    schema = {"level": pl.String, "class": pl.String, "parent": pl.String, "rows": pl.Int64, "taken": pl.String}
    frames = [
        pl.DataFrame(
            [
                pl.repeat(pairs.level, len(pairs.rows_P), dtype=pl.String, eager=True).alias("level"),
                pairs.classes_P.to_polars("class"),
                pairs.parents_P.to_polars("parent"),
                pl.Series("rows", pairs.rows_P),
                decode_column("taken", to_series(("no", "yes")), pairs.chosen_P),
            ]
        )
        for pairs in contents.labelled.ambiguous_parents
    ]
    write_csv(pl.concat([pl.DataFrame(schema=schema), *frames]), path)


def _origin_columns(frame: pl.DataFrame, tables: pl.Series) -> list[pl.Series]:
    """Return where rows come from: table, row, id, image."""
    table = decode_column("table", tables, frame["table"].to_numpy())
    return [table, frame["table_row"].alias("row"), frame["id"], frame["image"]]
