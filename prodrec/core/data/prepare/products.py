"""Which rows show the same product. All photos of a product are in one split.

Shapes: N kept rows.
"""

from __future__ import annotations

import shlex

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import factorize
from prodrec.core.base.wording import counted
from prodrec.core.data.duplicates.groups import group_sizes, renumber_groups
from prodrec.core.data.prepare.majority import count_pairs
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.columns import AUTO_GROUPS

LARGE_PRODUCT_ROWS = 100
LARGE_PRODUCT_SHARE = 0.01
"""A value on more rows than both numbers allow is hardly the id of one product."""

ROWS_OF_CLASS_ID = 10
"""Values with at least so many rows on average, of which each class has only one, are ids of classes."""


def find_products(
    catalogue: Catalogue, rows_N: NDArray[np.int64], class_N: NDArray[np.int32], *, group_by: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the number of the product of every row, in order of first rows, int64 [N], and sentences about doubts.

    If the ids that were found by name are those of classes, every row is a product: otherwise all rows of a class would
    be in one split.

    class_N:  the deepest class of every row
    group_by: the value of --group-by
    """
    product_N = product_groups(catalogue, rows_N)
    column = catalogue.columns and (catalogue.columns.group or catalogue.columns.id)
    if group_by == AUTO_GROUPS and column and are_classes(product_N, class_N):
        note = (
            f"every class has one value of {column} only, so these are classes and no products: rows with the same "
            f"value are split apart; --group-by {shlex.quote(column)} keeps them together"
        )
        return np.arange(len(rows_N), dtype=np.int64), [note]
    notes = large_product_notes(catalogue, rows_N, product_N)
    return product_N, notes + _mixed_product_notes(catalogue, rows_N, product_N, class_N)


def product_groups(catalogue: Catalogue, rows_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the product of every row, in order of first rows: int64 [N]."""
    if not catalogue.has_products:
        return np.arange(len(rows_N), dtype=np.int64)
    products = catalogue.read_column("product").gather(rows_N)
    if products.n_unique() == len(rows_N):
        return np.arange(len(rows_N), dtype=np.int64)
    return renumber_groups(factorize(products)[1].astype(np.int64))


def are_classes(product_N: NDArray[np.int64], class_N: NDArray[np.int32]) -> bool:
    """Return whether each of several classes has one product only, and products have many rows."""
    products = int(product_N.max(initial=-1)) + 1
    if products < 2 or len(product_N) < ROWS_OF_CLASS_ID * products:
        return False
    pairs = count_pairs(class_N, product_N, products)
    return len(pairs.key_P) == int(pairs.is_majority_P.sum())


def large_product_notes(catalogue: Catalogue, rows_N: NDArray[np.int64], product_N: NDArray[np.int64]) -> list[str]:
    """Return a sentence if one value identifies so many rows that it is hardly a product."""
    sizes_N = group_sizes(product_N)
    largest = int(sizes_N.max(initial=0))
    if largest <= max(LARGE_PRODUCT_ROWS, LARGE_PRODUCT_SHARE * len(rows_N)):
        return []
    row = rows_N[[int(sizes_N.argmax())]]
    value = catalogue.read_rows(row, "product").item()
    note = (
        f"{largest:,} rows are the product {value!r} and go to one split; if that is no product, --group-by COLUMN "
        "names another column, and --group-by none keeps rows apart"
    )
    return [note]


def _mixed_product_notes(
    catalogue: Catalogue, rows_N: NDArray[np.int64], product_N: NDArray[np.int64], class_N: NDArray[np.int32]
) -> list[str]:
    """Return a sentence on products whose rows have different classes."""
    several = np.flatnonzero(group_sizes(product_N) > 1)
    if not len(several):
        return []
    pairs = count_pairs(product_N[several], class_N[several], int(class_N.max()) + 1)
    mixed = np.unique(pairs.key_P[~pairs.is_majority_P])
    if not len(mixed):
        return []
    row = rows_N[several[product_N[several] == mixed[0]][:1]]
    value = catalogue.read_rows(row, "product").item()
    products = counted(len(mixed), "product has", "products have")
    return [f"{products} rows of different categories, such as {value!r}; each row keeps its own"]
