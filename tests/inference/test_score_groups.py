"""Which rows of a file of scores belong together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from prodrec.core.data.dataset import Dataset
from prodrec.inference.score import first_rows_of_products


def test_duplicates_of_products_with_one_photo_belong_together() -> None:
    """The folds of `refine-mcr` keep them together."""
    data = cast(Dataset, SimpleNamespace(product_N=np.arange(5), group_N=np.array([0, 1, 0, 2, 1])))
    first_rows = first_rows_of_products(data, np.arange(5))
    assert first_rows is not None
    assert [first_N.tolist() for first_N in first_rows] == [[0, 1, 2, 3, 4], [0, 1, 0, 3, 1]]
    assert first_rows_of_products(data, np.array([1, 2, 3])) is None  # the rows of the file
