"""Photos of an index that show the same thing, against a plain search for connected photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from prodrec.core.base.texts import Texts
from prodrec.index.groups import find_groups
from prodrec.index.photos import hash_bytes


@dataclass
class DrawnPhotos:
    contents: list[bytes]

    def read(self, row: int) -> bytes:
        return self.contents[row]


@dataclass
class DrawnDataset:
    """Rows of a dataset: ids, groups of duplicates, splits and photos."""

    skus: list[str]
    groups: list[int]
    splits: list[int]
    photos: Any

    @property
    def group_N(self) -> np.ndarray:
        return np.array(self.groups, np.int64)

    @property
    def split_N(self) -> np.ndarray:
        return np.array(self.splits, np.uint8)

    def ids(self) -> Texts:
        return Texts.from_polars(pl.Series(self.skus))


def test_groups_join_products_photos_and_duplicates_of_the_dataset() -> None:
    # a and b are duplicates in the dataset; c and d have an identical photo; e and f are in the dataset alone
    data = DrawnDataset(
        ["a", "b", "c", "e", "f"], [5, 5, 7, 8, 9], [0, 1, 0, 1, 1], DrawnPhotos([b"", b"", b"", b"new", b"shared"])
    )
    shared = hash_bytes(b"shared")
    photos = [("a", "1"), ("a", "2"), ("b", "3"), ("c", shared), ("d", shared), ("d", "4"), ("x", "5")]
    frame = pl.DataFrame({"sku": [sku for sku, _ in photos], "photo_hash": [photo for _, photo in photos]})
    rows = np.array([1, 3, 4])
    group_N, own_group_R, is_scored_N = find_groups(frame, data, rows, ("test",))  # type: ignore[arg-type]
    together = [[bool(one == other) for other in group_N] for one in group_N]
    expected = [{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {3, 4, 5}, {3, 4, 5}, {3, 4, 5}, {6}]
    assert [set(np.flatnonzero(row)) for row in together] == expected
    # e is not in the index, and neither is its photo; f is not either, but c and d have its photo
    assert own_group_R.tolist() == [group_N[0], group_N[0], group_N[3], -1, group_N[3]]
    assert is_scored_N.tolist() == [True, True, True, True, True, True, False]
    assert not find_groups(frame, data, rows, ())[2].any()  # type: ignore[arg-type]
