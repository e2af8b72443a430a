"""Find the columns of categories: one for each level, or one with the whole path, from their names and values."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.category_text import detect_path_format
from prodrec.core.data.tables.column_names import (
    LEVEL_NAMES,
    NUMBERED_LEVEL,
    SINGLE_NAMES,
    SLASH_PATHS,
    normalise,
)
from prodrec.core.data.tables.columns import CategoryColumns, ColumnNames
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.shop_categories import shop_categories
from prodrec.core.data.tables.table_sample import TableSample

_MIN_FILLED = 0.5
"""A column is considered if it has values in at least this share of the rows of the fullest one."""


def find_categories(
    sample: TableSample, header: Header, requested: ColumnNames, *, needed: bool = True
) -> CategoryColumns:
    """Return the requested category columns, or those that names and values suggest.

    A single column whose values are paths at arrows (`A > B`), or lists, is a column of paths. Requested levels that
    are no columns are names for the levels of such a column.

    Raise BadTable if a requested column is missing, or if no column is found and one is needed.
    """
    if requested.path:
        named = CategoryColumns((), header.exact(requested.path, "--path-column"))
        of_shop = shop_categories(header)
        if of_shop and of_shop.path == named.path:
            named = of_shop
        return named if requested.separator is None else named._replace(separator=requested.separator)
    detected = None
    if not requested.levels or not {name.lower() for name in header.names} & {n.lower() for n in requested.levels}:
        detected = _detect(sample, header)
    if requested.levels and (detected is None or detected.path is None):
        return CategoryColumns(tuple(header.exact(name, "--levels") for name in requested.levels))
    if detected is None and not needed:
        return CategoryColumns(())
    if detected is None:
        raise BadTable(
            f"{header.table} has no category column; name them with --levels, or one of whole paths with "
            f"--path-column: the columns are {header}."
        )
    return detected if requested.separator is None else detected._replace(separator=requested.separator)


def _detect(sample: TableSample, header: Header) -> CategoryColumns | None:
    """Return the category columns that names and values suggest, or None."""
    of_shop = shop_categories(header)
    if of_shop:
        return of_shop
    levels = _by_name(header)
    if len(levels) > 1:
        return CategoryColumns(levels)
    candidates = [header.by_normalised[name] for name in SINGLE_NAMES if name in header.by_normalised] or list(levels)
    return _choose(candidates, sample) if candidates else None


def _by_name(header: Header) -> tuple[str, ...]:
    """Return the columns `category1`, `category2`, … in numeric order, else the first set with several columns."""
    matches = [
        (int(match[1]), column)
        for name, column in header.by_normalised.items()
        if (match := NUMBERED_LEVEL.fullmatch(name))
    ]
    if matches:
        return tuple(column for _, column in sorted(matches))
    sets = (
        tuple(header.by_normalised[name] for name in names if name in header.by_normalised) for names in LEVEL_NAMES
    )
    return next((levels for levels in sets if len(levels) > 1), ())


def _choose(candidates: Sequence[str], sample: TableSample) -> CategoryColumns:
    """Return the first column of paths, or else the first column.

    Columns with few values are not considered, and those with only numbers or with one value only if there is no other.
    """
    texts = {name: sample.values(name) for name in candidates}
    fullest = max(len(values) for values in texts.values())
    considered = [name for name in candidates if len(texts[name]) >= _MIN_FILLED * fullest]
    for is_class in (_are_not_numbers, _are_several):
        considered = [name for name in considered if is_class(set(texts[name]))] or considered
    for name in considered:
        slashes = normalise(name) in SLASH_PATHS
        path_format = detect_path_format(set(texts[name]), slashes=slashes)
        if path_format is not None:
            return CategoryColumns((), name, path_format.separator)
    return CategoryColumns((considered[0],))


def _are_not_numbers(texts: Collection[str]) -> bool:
    return not texts or not all(text.isdecimal() for text in texts)


def _are_several(texts: Collection[str]) -> bool:
    return len(texts) > 1
