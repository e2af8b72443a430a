"""Find the columns of categories: one for each level, or one with the whole path, from their names and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.category_text import detect_path_format
from prodrec.core.data.tables.column_names import MAGENTO_1_CATEGORY, is_woocommerce, normalise
from prodrec.core.data.tables.columns import CategoryColumns, ColumnNames, Header
from prodrec.core.data.tables.records import Table
from prodrec.core.data.tables.table_sample import read_sample

if TYPE_CHECKING:
    import polars as pl

LEVEL_NAMES = (
    ("root", "middle", "leaf"),
    ("mastercategory", "subcategory", "articletype"),
    ("category", "subcategory", "subsubcategory"),
    ("maincategory", "subcategory", "subsubcategory"),
)
"""Sets of category columns, shallowest level first. A set with several columns in the table is used."""

NUMBERED_LEVEL = re.compile(
    r"(?:product|item)?(?:(?:category|cat)(?:level|lvl|l)?|level|lvl)(\d+)(?:name|category|cat)?"
)
"""A level by its depth: category1, level_2, lvl3, Category L1 Name."""

SINGLE_NAMES = (
    *("leaf", "root", "middle", "mastercategory", "articletype", "subcategory"),
    *("productcategory", "googleproductcategory", "categorypath", "categorytree", "productcategorytree"),
    *("breadcrumbs", "breadcrumb", "categories", "producttype", "category", "leafcategory", "label", "labels", "class"),
    *(
        "type",
        "customproducttype",
        "feedproducttype",
        "itemtype",
        "collection",
        "categoriesxyz",
        "maincategory",
        "categoryname",
        "topcategory",
    ),
)
"""Columns that contain a class or a whole path. The first one in the table with paths is used, or else the first."""

SLASH_PATHS = ("categorypath", "categorytree", "productcategorytree", "breadcrumbs", "breadcrumb", "categories")
"""Columns whose paths may be cut at `/` or `|`, as Magento writes them."""

WOOCOMMERCE_JOINER = ","
"""WooCommerce writes a backslash before the commas of names, so all others stand between two paths."""

_MIN_FILLED = 0.5
"""A column is considered if it has values in at least this share of the rows of the fullest one."""


def find_categories(table: Table, header: Header, requested: ColumnNames) -> CategoryColumns:
    """Return the requested category columns, or those that names and values suggest.

    A single column whose values are paths at arrows (`A > B`), or lists, is a column of paths. Requested levels that
    are no columns are names for the levels of such a column.

    Raise BadTable if a requested column is missing, or if no column is found.
    """
    if requested.path:
        path = header.exact(requested.path, "--path-column")
        joiner = WOOCOMMERCE_JOINER if path == _woocommerce_path(header) else None
        return CategoryColumns((), path, requested.separator, joiner)
    detected = None
    if not requested.levels or not {name.lower() for name in header.names} & {n.lower() for n in requested.levels}:
        detected = _detect(table, header)
    if requested.levels and (detected is None or detected.path is None):
        return CategoryColumns(tuple(header.exact(name, "--levels") for name in requested.levels))
    if detected is None:
        raise BadTable(
            f"{header.table} has no category column; name them with --levels, or one of whole paths with "
            f"--path-column: the columns are {header}."
        )
    return detected if requested.separator is None else detected._replace(separator=requested.separator)


def _detect(table: Table, header: Header) -> CategoryColumns | None:
    """Return the category columns that names and values suggest, or None."""
    woocommerce_path = _woocommerce_path(header)
    if woocommerce_path:
        return CategoryColumns((), woocommerce_path, ">", WOOCOMMERCE_JOINER)
    levels = _by_name(header)
    if len(levels) > 1:
        return CategoryColumns(levels)
    candidates = [header.by_normalised[name] for name in SINGLE_NAMES if name in header.by_normalised] or list(levels)
    return _choose(candidates, read_sample(table, candidates)) if candidates else None


def _woocommerce_path(header: Header) -> str | None:
    """Return the column of categories if the table is a WooCommerce export."""
    return "Categories" if is_woocommerce(header.names) else None


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


def _choose(candidates: Sequence[str], sample: pl.DataFrame) -> CategoryColumns:
    """Return the first column of paths, or else the first column; those with few values are not considered."""
    texts = {name: [text.strip() for text in sample[name].drop_nulls() if text.strip()] for name in candidates}
    fullest = max(len(values) for values in texts.values())
    considered = [name for name in candidates if len(texts[name]) >= _MIN_FILLED * fullest]
    numbers = [name for name in considered if texts[name] and all(text.isdecimal() for text in set(texts[name]))]
    considered = [name for name in considered if name not in numbers] or considered
    for name in considered:
        slashes = name == MAGENTO_1_CATEGORY or normalise(name) in SLASH_PATHS
        path_format = detect_path_format(set(texts[name]), slashes=slashes)
        if path_format is not None:
            return CategoryColumns((), name, path_format.separator)
    return CategoryColumns((considered[0],))
