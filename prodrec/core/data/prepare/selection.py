"""Which rows and attributes a dataset keeps: complete categories, known splits, paper S's full and core datasets.

Shapes: M rows of all tables, L levels, A attributes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadTable
from prodrec.core.base.taxonomy import PATH_SEPARATOR, Attribute
from prodrec.core.base.texts import Texts, factorize
from prodrec.core.data.prepare import splits
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables import rejects
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.rejects import Rejects


def categories(
    catalogue: Catalogue, rejected: Rejects, *, path_identity: bool
) -> tuple[list[Texts], NDArray[np.int32]]:
    """Class names and codes int32 [M, L] of every level; rejects rows whose path is not complete.

    With `path_identity` a class is its whole path: `A`, `A / B`, `A / B / C`.
    """
    import polars as pl

    depth = len(catalogue.levels)
    columns = [f"level_{i}" for i in range(depth)]
    if "depth" in catalogue.lazy.collect_schema():
        found_M = catalogue.column("depth").fill_null(depth).to_numpy()
        rows = np.flatnonzero(found_M != depth)
        depths, which = np.unique(found_M[rows], return_inverse=True)
        rejected.add(rejects.OTHER_DEPTH, rows, [f"{found} levels, expected {depth}" for found in depths], which)
    names, codes_ML, empty_M = [], np.empty((catalogue.rows, depth), np.int32), np.zeros(catalogue.rows, np.int64)
    for i, column in enumerate(columns):
        values = catalogue.column(column)
        empty_M |= values.is_null().to_numpy().astype(np.int64) << i
        if path_identity:
            path = pl.concat_str(columns[: i + 1], separator=PATH_SEPARATOR)
            values = catalogue.lazy.select(path).collect().to_series()
        found, codes_ML[:, i] = factorize(values)
        names.append(found)
    rows = np.flatnonzero(empty_M)
    kinds, which = np.unique(empty_M[rows], return_inverse=True)
    details = [_and(level for i, level in enumerate(catalogue.levels) if kind >> i & 1) for kind in kinds.tolist()]
    rejected.add(rejects.NO_CATEGORY, rows, [f"{empty} empty" for empty in details], which)
    return names, codes_ML


def _and(words: Iterable[str]) -> str:
    return " and ".join(words)


def given_splits(catalogue: Catalogue, rejected: Rejects) -> NDArray[np.uint8]:
    """The split of every row by the split column, uint8 [M]; rejects rows with another word (255)."""
    column = catalogue.column("split")
    words, codes_M = factorize(column.str.to_lowercase())
    known = np.array([splits.NAMES.get(word, 255) for word in words] + [255], np.uint8)
    given_M: NDArray[np.uint8] = known[codes_M]
    unknown = np.flatnonzero(given_M == 255)
    found, which = factorize(column.gather(unknown))
    details = [f"{word or 'empty'}: none of train, test, validation" for word in [*found, None]]
    rejected.add(rejects.NO_SPLIT, unknown, details, which % len(details))
    return given_M


def drop_rare_leaves(leaf_M: NDArray[np.int32], leaves: Texts, rejected: Rejects, *, least: int) -> None:
    """Reject the rows of leaves with fewer than `least` usable photos (paper S §4.1: 1,000)."""
    import polars as pl

    if least == 1:  # no row that is kept has a leaf without one
        return
    counts = np.bincount(leaf_M[rejected.kept], minlength=len(leaves))
    rows = np.flatnonzero((leaf_M >= 0) & (counts[leaf_M] < least))
    rare, which = np.unique(leaf_M[rows], return_inverse=True)
    details = leaves.take(rare).to_polars() + " has " + pl.Series(counts[rare]).cast(pl.String)
    rejected.add(rejects.RARE_LEAF, rows, details, which)


def choose_attributes(
    catalogue: Catalogue, rejected: Rejects, options: PrepareOptions
) -> tuple[tuple[Attribute, ...], NDArray[np.int32], dict[str, int]]:
    """The attributes with their states, codes int32 [M, A] (0 absent), and rare attributes with their photo counts.

    Paper S §4.1: rows without any attribute go first, then attributes that too few photos have.
    """
    encoded = [factorize(catalogue.column(f"attribute_{i}")) for i in range(len(catalogue.attributes))]
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
        attributes.append(Attribute(name, tuple(states.take(used))))
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
    detail = f": {rejected.texts[int(rejected.detail_N[row])]}" if rejected.detail_N[row] else ""
    tables = ", ".join(catalogue.tables)
    raise BadTable(
        f"{tables}: none of {len(rejected.code_N):,} rows can be used ({reasons}; for example {example}{detail})."
    )
