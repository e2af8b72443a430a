"""Select rows and attributes: complete category paths, known splits, and the full and core datasets of paper S §4.1.

Shapes: M rows of all tables, L levels, A attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadTable
from prodrec.core.base.taxonomy import PATH_SEPARATOR, Attribute
from prodrec.core.base.texts import Texts, factorize
from prodrec.core.data.prepare import splits
from prodrec.core.data.prepare.category_names import merge_spellings
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables import rejects
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.csv_records import BLANK
from prodrec.core.data.tables.rejects import Rejects

if TYPE_CHECKING:
    import polars as pl

BLANK_SUFFIX = f": {BLANK}"

_UNKNOWN = 255
"""The code of a split other than train, test and validation."""


def reject_malformed_rows(catalogue: Catalogue, rejected: Rejects, *, from_folders: bool) -> None:
    """Reject the rows that are malformed in their table, and blank ones, with the problem that the reader reported.

    Without a table, these are the files that are no photos.
    """
    import polars as pl

    problems = catalogue.read_column("problem")
    rows = problems.is_not_null().arg_true().to_numpy().astype(np.int64)
    if not len(rows):
        return
    details, detail_R = factorize(problems.gather(rows))
    is_blank_R = problems.gather(rows).str.ends_with(BLANK_SUFFIX).to_numpy()
    other = rejects.SKIPPED_FILE if from_folders else rejects.MALFORMED_ROW
    for reason, is_own_R in ((rejects.BLANK_ROW, is_blank_R), (other, ~is_blank_R)):
        rejected.add(reason, rows[is_own_R], details.to_polars("detail").cast(pl.String), detail_R[is_own_R])


def encode_categories(
    catalogue: Catalogue, rejected: Rejects, options: PrepareOptions
) -> tuple[list[Texts], NDArray[np.int32]]:
    """Return the class names of every level and the classes of every row, int32 [M, L].

    The code is -1 at the levels after the end of a category path. Rows without a first level, or with a gap in their
    path, are rejected, and with --require-leaf those that end early. With --path-identity, a class is its path of
    names; its own name is that path as text: `A`, `A / B`, `A / B / C`. With --ignore-case, spellings are merged.
    """
    import polars as pl

    depth = len(catalogue.levels)
    columns = [f"level_{i}" for i in range(depth)]
    names: list[Texts] = []
    codes_ML = np.empty((catalogue.row_count, depth), np.int32)
    empty_bits_M = np.zeros(catalogue.row_count, np.int64)  # bit i is set if level i is empty
    for i, column in enumerate(columns):
        values = catalogue.read_column(column)
        empty_bits_M |= values.is_null().to_numpy().astype(np.int64) << i
        if options.path_identity:
            path = pl.concat_str((_escaped(name) for name in columns[: i + 1]), separator=PATH_SEPARATOR)
            values = catalogue.frame.select(path).collect().to_series()
        level_names, code_M = factorize(values)
        if options.ignore_case:
            level_names, code_M = merge_spellings(level_names, code_M)
        names.append(level_names)
        codes_ML[:, i] = code_M
    _reject_empty_levels(empty_bits_M, catalogue.levels, rejected, require_leaf=options.require_leaf)
    return names, codes_ML


def _escaped(column: str) -> pl.Expr:
    """Double the slashes of names with a slash between blanks. Different paths then have different texts."""
    import polars as pl

    name = pl.col(column)
    doubled = name.str.replace_all("/", "//", literal=True)
    return pl.when(name.str.contains(r"(?:^|\s)/+(?:\s|$)")).then(doubled).otherwise(name)


def _reject_empty_levels(
    bits_M: NDArray[np.int64], levels: tuple[str, ...], rejected: Rejects, *, require_leaf: bool
) -> None:
    """Reject the rows without a first level or with a gap; bit i of `bits_M` is set if level i is empty.

    With `require_leaf`, reject every row with an empty level.
    """
    ends_early = {((1 << len(levels)) - 1) & ~((1 << depth) - 1) for depth in range(1, len(levels) + 1)}
    allowed = {0} if require_leaf else ends_early  # 0, no empty level, is among them
    rows = np.flatnonzero(~np.isin(bits_M, list(allowed)))
    distinct_bits, detail_R = np.unique(bits_M[rows], return_inverse=True)
    empty_levels = [[level for i, level in enumerate(levels) if bits >> i & 1] for bits in distinct_bits.tolist()]
    rejected.add(rejects.NO_CATEGORY, rows, [f"{' and '.join(names)} empty" for names in empty_levels], detail_R)


def deepest_classes(codes_NL: NDArray[np.int32], names: Sequence[Texts]) -> tuple[NDArray[np.int32], Sequence[str]]:
    """Return one number for the deepest class of every row, int32 [N], and the names of these numbers.

    The first numbers are those of the leaves. Numbers of classes at which paths end early follow.
    """
    import polars as pl

    class_N, class_names = codes_NL[:, -1].copy(), names[-1]
    if (class_N >= 0).all():
        return class_N, class_names
    parts = [class_names.to_polars()]
    for level in range(codes_NL.shape[1] - 2, -1, -1):
        ends_here_N = (class_N < 0) & (codes_NL[:, level] >= 0)
        class_N[ends_here_N] = codes_NL[ends_here_N, level] + sum(map(len, parts))
        parts.append(names[level].to_polars())
    return class_N, Texts.from_polars(pl.concat(parts))


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
    kept_leaves = leaf_M[rejected.kept_rows]
    images = np.bincount(kept_leaves[kept_leaves >= 0], minlength=len(leaves))
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
