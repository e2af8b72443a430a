"""Select rows and attributes: complete category paths, known splits, and the full and core datasets of paper S §4.1.

Shapes: M rows of all tables, L levels, A attributes.
"""

from __future__ import annotations

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

_UNKNOWN = 255
"""The code of a split other than train, test and validation."""


def encode_categories(
    catalogue: Catalogue, rejected: Rejects, *, path_identity: bool
) -> tuple[list[Texts], NDArray[np.int32]]:
    """Return the class names of every level and the classes of every row, int32 [M, L].

    Reject the rows whose category path is incomplete; their codes are -1 at the levels that are missing. With
    `path_identity` the name of a class is its whole path: `A`, `A / B`, `A / B / C`.
    """
    import polars as pl

    depth = len(catalogue.levels)
    if "depth" in catalogue.frame.collect_schema():
        _reject_other_depths(catalogue, rejected, depth)
    columns = [f"level_{i}" for i in range(depth)]
    names: list[Texts] = []
    codes_ML = np.empty((catalogue.row_count, depth), np.int32)
    empty_bits_M = np.zeros(catalogue.row_count, np.int64)  # bit i is set if level i is empty
    for i, column in enumerate(columns):
        values = catalogue.read_column(column)
        empty_bits_M |= values.is_null().to_numpy().astype(np.int64) << i
        if path_identity:
            path = pl.concat_str(columns[: i + 1], separator=PATH_SEPARATOR)
            values = catalogue.frame.select(path).collect().to_series()
        level_names, codes_ML[:, i] = factorize(values)
        names.append(level_names)
    _reject_empty_levels(empty_bits_M, catalogue.levels, rejected)
    return names, codes_ML


def _reject_other_depths(catalogue: Catalogue, rejected: Rejects, expected: int) -> None:
    """Reject the rows whose path has another number of levels than `expected`."""
    depth_M = catalogue.read_column("depth").fill_null(expected).to_numpy()
    rows = np.flatnonzero(depth_M != expected)
    depths, detail_R = np.unique(depth_M[rows], return_inverse=True)
    rejected.add(rejects.WRONG_DEPTH, rows, [f"{depth} levels, expected {expected}" for depth in depths], detail_R)


def _reject_empty_levels(bits_M: NDArray[np.int64], levels: tuple[str, ...], rejected: Rejects) -> None:
    """Reject the rows with an empty level; bit i of `bits_M` is set if level i is empty."""
    rows = np.flatnonzero(bits_M)
    distinct_bits, detail_R = np.unique(bits_M[rows], return_inverse=True)
    empty_levels = [[level for i, level in enumerate(levels) if bits >> i & 1] for bits in distinct_bits.tolist()]
    rejected.add(rejects.NO_CATEGORY, rows, [f"{' and '.join(names)} empty" for names in empty_levels], detail_R)


def read_split_column(catalogue: Catalogue, rejected: Rejects) -> NDArray[np.uint8]:
    """Read the split of every row from the table, uint8 [M]; reject rows with an unknown split."""
    column = catalogue.read_column("split")
    words, codes_M = factorize(column.str.to_lowercase())
    split_of_word = np.array([splits.CODES.get(word, _UNKNOWN) for word in words] + [_UNKNOWN], np.uint8)
    split_M: NDArray[np.uint8] = split_of_word[codes_M]  # code -1, an empty value, takes the last entry
    unknown_rows = np.flatnonzero(split_M == _UNKNOWN)
    unknown_words, code_R = factorize(column.gather(unknown_rows))
    details = [f"{word or 'empty'}: none of train, test, validation" for word in [*unknown_words, None]]
    rejected.add(rejects.UNKNOWN_SPLIT, unknown_rows, details, code_R % len(details))
    return split_M


def reject_rare_leaves(leaf_M: NDArray[np.int32], leaves: Texts, rejected: Rejects, *, min_images: int) -> None:
    """Reject the rows of leaves with fewer than `min_images` usable photos (paper S §4.1: 1,000)."""
    import polars as pl

    if min_images == 1:  # every leaf of a kept row has one
        return
    images = np.bincount(leaf_M[rejected.kept_rows], minlength=len(leaves))
    rows = np.flatnonzero((leaf_M >= 0) & (images[leaf_M] < min_images))
    rare, detail_R = np.unique(leaf_M[rows], return_inverse=True)
    details = leaves.take(rare).to_polars() + " has " + pl.Series(images[rare]).cast(pl.String)
    rejected.add(rejects.RARE_LEAF, rows, details, detail_R)


def select_attributes(
    catalogue: Catalogue, rejected: Rejects, options: PrepareOptions
) -> tuple[tuple[Attribute, ...], NDArray[np.int32], dict[str, int]]:
    """Apply --only-with-attributes, then --min-attribute-images (the core dataset of paper S §4.1).

    Return three values: the selected attributes with the states that occur in kept rows; the state of every row, int32
    [M, A], 0 where the attribute is absent; and the dropped attributes with their numbers of photos.
    """
    encoded = [factorize(catalogue.read_column(f"attribute_{i}")) for i in range(len(catalogue.attributes))]
    if options.only_with_attributes:
        has_none_M = ~np.any([code_M >= 0 for _, code_M in encoded], axis=0)
        rejected.add(rejects.NO_ATTRIBUTE, np.flatnonzero(has_none_M))
    kept_rows = rejected.kept_rows
    attributes: list[Attribute] = []
    columns: list[NDArray[np.int32]] = []
    dropped: dict[str, int] = {}
    for name, (states, code_M) in zip(catalogue.attributes, encoded, strict=True):
        images = int((code_M[kept_rows] >= 0).sum())
        if images < options.min_attribute_images:
            dropped[name] = images
            continue
        used = np.unique(code_M[kept_rows])
        used = used[used >= 0]
        new_code = np.zeros(len(states) + 1, np.int32)  # code -1, absent, takes the last entry, 0
        new_code[used] = np.arange(1, len(used) + 1)
        attributes.append(Attribute(name, tuple(states.take(used))))
        columns.append(new_code[code_M])
    state_MA = np.stack(columns, axis=1) if columns else np.zeros((catalogue.row_count, 0), np.int32)
    return tuple(attributes), state_MA, dropped


def refuse_if_empty(rejected: Rejects, catalogue: Catalogue) -> None:
    """Raise BadTable with the reasons and one example if all rows are rejected."""
    if len(rejected.kept_rows):
        return
    counts = rejected.counts()
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    most_frequent = rejected.reasons.index(next(iter(counts)))
    rows = np.flatnonzero(rejected.reason_M == most_frequent)[:1]
    table_row, image, id_ = catalogue.read_rows(rows, "table_row", "image", "id").row(0)
    example = f"row {table_row}, {image or id_}"
    detail = rejected.details[int(rejected.detail_M[rows[0]])]
    tables = ", ".join(catalogue.tables)
    raise BadTable(
        f"{tables}: none of {catalogue.row_count:,} rows can be used "
        f"({reasons}; for example {example}{f': {detail}' if detail else ''})."
    )
