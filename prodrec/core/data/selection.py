"""Which rows and attributes a dataset keeps: complete categories, known splits, paper S's full and core datasets.

Shapes: M rows of all tables, L levels, A attributes.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data import rejects, splits
from prodrec.core.data.catalogue import Catalogue
from prodrec.core.data.labels import encode
from prodrec.core.data.options import PrepareOptions
from prodrec.core.data.rejects import Rejects
from prodrec.core.errors import BadTable
from prodrec.core.taxonomy import PATH_SEPARATOR, Attribute


def categories(
    catalogue: Catalogue, rejected: Rejects, *, path_identity: bool
) -> tuple[list[list[str]], NDArray[np.int32]]:
    """Class names and codes int32 [M, L] of every level; rejects rows whose path is not complete.

    With `path_identity` a class is its whole path: `A`, `A / B`, `A / B / C`.
    """
    import polars as pl

    frame, depth = catalogue.frame, len(catalogue.levels)
    columns = [f"level_{i}" for i in range(depth)]
    if "depth" in frame.columns:
        other = frame.with_row_index("row").filter(pl.col("depth") != depth)
        details = {row: f"{found} levels, expected {depth}" for row, found in other.select("row", "depth").iter_rows()}
        rejected.add(rejects.OTHER_DEPTH, other["row"].to_numpy().astype(np.int64), details)
    empty_ML = np.stack([frame[column].is_null().to_numpy() for column in columns], axis=1)
    rows = np.flatnonzero(empty_ML.any(axis=1))
    details = {
        row: " and ".join(itertools.compress(catalogue.levels, empty_ML[row])) + " empty" for row in rows.tolist()
    }
    rejected.add(rejects.NO_CATEGORY, rows, details)
    if path_identity:
        frame = frame.with_columns(
            pl.concat_str(columns[: i + 1], separator=PATH_SEPARATOR).alias(column) for i, column in enumerate(columns)
        )
    encoded = [encode(frame[column]) for column in columns]
    return [names for names, _ in encoded], np.stack([codes for _, codes in encoded], axis=1)


def given_splits(catalogue: Catalogue, rejected: Rejects) -> NDArray[np.uint8]:
    """The split of every row by the split column, uint8 [M]; rejects rows with another word (255)."""
    words, codes_M = encode(catalogue.column("split").str.to_lowercase())
    known = np.array([splits.NAMES.get(word, 255) for word in words] + [255], np.uint8)
    given_M: NDArray[np.uint8] = known[codes_M]
    unknown = np.flatnonzero(given_M == 255)
    column = catalogue.column("split")
    details = {row: f"{column[row] or 'empty'}: none of train, test, validation" for row in unknown.tolist()}
    rejected.add(rejects.NO_SPLIT, unknown, details)
    return given_M


def drop_rare_leaves(leaf_M: NDArray[np.int32], leaves: list[str], rejected: Rejects, *, least: int) -> None:
    """Reject the rows of leaves with fewer than `least` usable photos (paper S §4.1: 1,000)."""
    counts = np.bincount(leaf_M[rejected.kept], minlength=len(leaves))
    rare = np.flatnonzero((leaf_M >= 0) & (counts[leaf_M] < least))
    details = {row: f"{leaves[leaf_M[row]]} has {counts[leaf_M[row]]}" for row in rare.tolist()} if least > 1 else {}
    rejected.add(rejects.RARE_LEAF, rare, details)


def choose_attributes(
    catalogue: Catalogue, rejected: Rejects, options: PrepareOptions
) -> tuple[tuple[Attribute, ...], NDArray[np.int32], dict[str, int]]:
    """The attributes with their states, codes int32 [M, A] (0 absent), and rare attributes with their photo counts.

    Paper S §4.1: rows without any attribute go first, then attributes that too few photos have.
    """
    encoded = [encode(catalogue.column(f"attribute_{i}")) for i in range(len(catalogue.attributes))]
    if options.only_with_attributes:
        without = ~np.any([codes >= 0 for _, codes in encoded], axis=0)
        rejected.add(rejects.NO_ATTRIBUTE, np.flatnonzero(without))
    kept = rejected.kept
    attributes, columns, dropped = [], [], {}
    for name, (states, codes_M) in zip(catalogue.attributes, encoded, strict=True):
        images = int((codes_M[kept] >= 0).sum())
        if images < options.min_attribute_images:
            dropped[name] = images
            continue
        used = np.unique(codes_M[kept])
        used = used[used >= 0]
        new_code = np.zeros(len(states) + 1, np.int32)  # the last one is -1, absent
        new_code[used] = np.arange(1, len(used) + 1)
        attributes.append(Attribute(name, tuple(states[code] for code in used)))
        columns.append(new_code[codes_M])
    nothing = np.zeros((len(rejected.code_N), 0), np.int32)
    return tuple(attributes), np.stack(columns, axis=1) if columns else nothing, dropped


def refuse_if_empty(rejected: Rejects, catalogue: Catalogue) -> None:
    """Raise BadTable where no row is left, with the reasons and one example."""
    if len(rejected.kept):
        return
    counts = rejected.counts()
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    row = int(np.flatnonzero(rejected.code_N == rejected.reasons.index(next(iter(counts))))[0])
    table_row, image, id_ = catalogue.at(np.array([row]), "table_row", "image", "id").row(0)
    example = f"row {table_row}, {image or id_}"
    detail = f": {rejected.details[row]}" if row in rejected.details else ""
    tables = ", ".join(catalogue.tables)
    raise BadTable(
        f"{tables}: none of {len(rejected.code_N):,} rows can be used ({reasons}; for example {example}{detail})."
    )
