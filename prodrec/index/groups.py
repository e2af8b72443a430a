"""Which photos of an index show the same thing, and which rows of a dataset they show.

Photos of one product, identical photos, and photos of products that are duplicates in the dataset are one group.

Shapes: N photos of the index, R rows of the dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.artefact import SPLITS
from prodrec.core.base.texts import factorize
from prodrec.core.data.duplicates.groups import merge_groups
from prodrec.index.photos import hash_bytes

if TYPE_CHECKING:
    import polars as pl

    from prodrec.core.data.dataset import Dataset


def find_groups(
    frame: pl.DataFrame, data: Dataset, rows: NDArray[np.int64], without_splits: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the group of every photo of the index, int64 [N], that of every row of the dataset, and what is scored.

    frame:          columns sku and photo_hash of the index
    rows:           rows of the dataset whose groups are needed even if the index does not have their products
    without_splits: splits of the dataset that are scored

    A row of the dataset whose product is not in the index has the group of a product with its photo, or else -1. The
    last array, bool [N], marks the photos of the index that show rows of `without_splits`.
    """
    import polars as pl

    products = pl.DataFrame({"sku": data.ids().to_polars().cast(pl.String), "own": data.group_N})
    own_N = frame.join(products.unique("sku", keep="first"), on="sku", how="left", maintain_order="left")["own"]
    offset = int(data.group_N.max(initial=-1)) + 1
    filled_N = own_N.fill_null(pl.Series(np.arange(len(frame)) + offset)).to_numpy()
    group_N = np.unique(filled_N, return_inverse=True)[1].astype(np.int64)
    for column in ("sku", "photo_hash"):
        group_N = merge_groups(group_N, factorize(frame[column])[1].astype(np.int64))
    of_own = np.full(offset, -1, np.int64)
    of_own[own_N.drop_nulls().to_numpy()] = group_N[own_N.is_not_null().to_numpy()]
    own_group_R = of_own[data.group_N]
    scored_R = np.isin(data.split_N, [SPLITS.index(name) for name in without_splits])
    if data.photos is not None:
        wanted_R = scored_R.copy()
        wanted_R[rows] = True
        group_of_hash = dict(zip(frame["photo_hash"].to_list(), group_N.tolist(), strict=True))
        for row in np.flatnonzero(wanted_R & (own_group_R < 0)).tolist():
            own_group_R[row] = group_of_hash.get(hash_bytes(data.photos.read(row)), -1)
    is_scored_N = np.isin(group_N, own_group_R[scored_R & (own_group_R >= 0)])
    return group_N, own_group_R, is_scored_N
