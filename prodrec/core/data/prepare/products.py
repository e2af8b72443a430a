"""Which rows show the same product. All photos of a product are in one split.

Shapes: N kept rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.texts import factorize
from prodrec.core.data.duplicates.groups import group_sizes, renumber_groups
from prodrec.core.data.tables.catalogue import Catalogue

LARGE_PRODUCT_ROWS = 100
LARGE_PRODUCT_SHARE = 0.01
"""A value on more rows than both numbers allow is hardly the id of one product."""


def product_groups(catalogue: Catalogue, rows_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the product of every row, in order of first rows: int64 [N]."""
    if not catalogue.has_products:
        return np.arange(len(rows_N), dtype=np.int64)
    products = catalogue.read_column("product").gather(rows_N)
    if products.n_unique() == len(rows_N):
        return np.arange(len(rows_N), dtype=np.int64)
    return renumber_groups(factorize(products)[1].astype(np.int64))


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
