"""How shop systems write the category paths of a product.

Their columns alone do not show it: the separators also occur in names, and several categories are in one cell.
"""

from __future__ import annotations

from typing import NamedTuple

from prodrec.core.data.tables.column_names import MAGENTO_1_CATEGORY, MAGENTO_1_JOINER, woocommerce_categories
from prodrec.core.data.tables.columns import CategoryColumns
from prodrec.core.data.tables.header import Header


class ShopPaths(NamedTuple):
    """The category paths in the exports of a shop system.

    column:    the normalised name of their column
    others:    normalised names of columns by which the export is recognised
    separator: the text between two levels; None if it is detected
    joiner:    the text that always separates two paths; None if names may contain such texts
    """

    column: str
    others: frozenset[str]
    separator: str | None
    joiner: str | None


SHOP_PATHS = {
    "BigCommerce, legacy": ShopPaths("category", frozenset({"itemtype", "productimagefile1"}), "/", ";"),
    "BigCommerce": ShopPaths("categories", frozenset({"item", "internalimageurlexport"}), "/", ";"),
    "Squarespace": ShopPaths("categories", frozenset({"productpage", "hostedimageurls"}), "/", ","),
    "Wix": ShopPaths("collection", frozenset({"handleid", "fieldtype"}), None, ";"),
    "Wix, since 2025": ShopPaths("categories", frozenset({"handle", "fieldtype"}), None, ";"),
    "Ecwid": ShopPaths("productcategory1", frozenset({"productinternalid"}), "/", None),
    "PrestaShop": ShopPaths("categoriesxyz", frozenset({"imageurlsxyz"}), ",", None),
    "Akeneo": ShopPaths("categories", frozenset({"sku", "family", "enabled"}), None, ","),
    "OpenCart": ShopPaths("categories", frozenset({"productid", "imagename", "storeids"}), None, ","),
    "OpenCart, CSV Price": ShopPaths("category", frozenset({"model", "image", "images"}), "|", "\n"),
    "Odoo": ShopPaths("productcategory", frozenset({"internalreference"}), "/", None),
    "Odoo, technical names": ShopPaths("categid", frozenset({"defaultcode"}), "/", None),
}
"""By shop system; see docs/how-to/your-export.md."""


def shop_categories(header: Header) -> CategoryColumns | None:
    """Return the column of paths of the shop system that wrote the table, or None if the table is of no known one."""
    woocommerce = woocommerce_categories(header.names)
    if woocommerce:
        return CategoryColumns((), woocommerce, ">", ",")  # a backslash precedes the commas of names
    if MAGENTO_1_CATEGORY in header.names:
        return CategoryColumns((), MAGENTO_1_CATEGORY, "/", MAGENTO_1_JOINER)
    names = header.by_normalised
    for paths in SHOP_PATHS.values():
        if paths.column in names and paths.others <= names.keys():
            return CategoryColumns((), names[paths.column], paths.separator, paths.joiner)
    return None
