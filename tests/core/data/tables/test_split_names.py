"""Folders and tables are splits if all of them are named so."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.data.tables.split_names import are_splits, split_of_folder, splits_of_tables


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"train", "test"}, True),
        ({"training", "valid", "testing"}, True),
        ({"train"}, False),
        ({"train", "training"}, False),
        ({"test", "val"}, False),
        ({"train", "test", "shoes"}, False),
        (set(), False),
    ],
)
def test_names_of_splits(names: set[str], expected: bool) -> None:
    assert are_splits(names) == expected


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["train.csv", "test.csv"], ["train", "test"]),
        (["Train-0-of-2.parquet", "train-1-of-2.parquet", "validation-0.parquet"], ["train", "train", "validation"]),
        (["shop_train.csv.gz", "shop_val.csv.gz"], ["train", "val"]),
        (["train_shoes.csv", "hats.csv"], None),
        (["train.csv"], None),
        (["training_shoes.csv", "trainers.csv"], None),
    ],
)
def test_tables(tables: list[str], expected: list[str] | None) -> None:
    assert splits_of_tables([Path("data", table) for table in tables]) == expected


def test_tables_in_folders() -> None:
    assert splits_of_tables([Path("train/a.csv"), Path("train/b.csv"), Path("Test/a.csv")]) == [
        "train",
        "train",
        "test",
    ]
    assert splits_of_tables([Path("train/a.csv"), Path("other/a.csv")]) is None


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("Train", "train"),
        ("training_set", "training"),
        ("testset", "test"),
        ("Validation images", "validation"),
        ("train_shoes", ""),
        ("trainers", ""),
        ("dataset", ""),
        ("images", ""),
        ("", ""),
    ],
)
def test_folders(folder: str, expected: str) -> None:
    assert split_of_folder(folder) == expected
