"""Find the columns that name the product of a row, from their names and values."""

from __future__ import annotations

from prodrec.core.data.tables.column_names import (
    AKENEO_NAMES,
    GROUP_NAMES,
    ID_NAMES,
    KIND_NAMES,
    MAGENTO_2_VARIANTS,
    PARENT_NAMES,
    SKU_NAMES,
    woocommerce_categories,
)
from prodrec.core.data.tables.columns import AUTO_GROUPS, NO_GROUPS, ColumnNames, ProductColumns
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.table_sample import TableSample

WOOCOMMERCE_ID = "id:"
"""WooCommerce names the parent of a variant by its SKU, or as `id:123` if it has none."""


def find_products(sample: TableSample, header: Header, requested: ColumnNames) -> ProductColumns:
    """Return the requested column of products, or the one that names and values suggest; without any, it is the id.

    A column such as `Parent` names products only if some of its values are ids. Otherwise it is taken for the parent of
    a category. Raise BadTable if a requested column is missing.
    """
    names = header.by_normalised
    kind = next((names[name] for name, other in KIND_NAMES.items() if name in names and other in names), None)
    if requested.group_by == NO_GROUPS:
        return ProductColumns()
    id_column = header.find(requested.id, "--id", ID_NAMES)
    second_id = _second_id(header, id_column)
    if requested.group_by != AUTO_GROUPS:
        group = header.exact(requested.group_by, "--group-by")
        return ProductColumns(group, second_id if group == header.find(None, "", PARENT_NAMES) else None)
    group_column = header.find(None, "", GROUP_NAMES)
    if group_column:
        return ProductColumns(group_column, kind=kind)
    if MAGENTO_2_VARIANTS in header.names:
        return ProductColumns(variants=MAGENTO_2_VARIANTS)
    parent = header.find(None, "", PARENT_NAMES)
    if parent is None or id_column is None or parent == id_column:
        return ProductColumns(kind=kind)
    if (
        woocommerce_categories(header.names)
        or names.keys() >= AKENEO_NAMES
        or _names_products(sample, parent, id_column, second_id)
    ):
        return ProductColumns(parent, second_id, kind=kind)
    return ProductColumns(kind=kind)


def _second_id(header: Header, id_column: str | None) -> str | None:
    """Return the SKU if it is not the id."""
    sku = header.find(None, "", SKU_NAMES)
    return None if sku == id_column else sku


def _names_products(sample: TableSample, parent: str, id_column: str, second_id: str | None) -> bool:
    """Return whether some values of `parent` are ids."""
    ids = {text for name in (id_column, second_id) if name for text in sample.values(name)}
    return not ids.isdisjoint(text.removeprefix(WOOCOMMERCE_ID) for text in sample.values(parent))
