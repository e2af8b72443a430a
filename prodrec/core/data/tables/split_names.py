"""Folders and tables that are named as splits: `train/`, `test/`, `train-00000-of-00001.parquet`, `shop_test.csv`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

TRAIN_NAMES = frozenset({"train", "training"})
SPLIT_NAMES = TRAIN_NAMES | {"test", "testing", "val", "valid", "validation", "dev"}
"""Names, in lower case, that mean a split if all folders or tables have one and at least one of them is train."""


def are_splits(names: Collection[str]) -> bool:
    """Return whether the distinct `names`, in lower case, are those of train and of at least one other split."""
    return SPLIT_NAMES.issuperset(names) and not TRAIN_NAMES.isdisjoint(names) and not TRAIN_NAMES.issuperset(names)


def splits_of_tables(tables: Sequence[Path]) -> list[str] | None:
    """Return the split of every table by its name, or None if they are not named as splits."""
    words = [_split_word(table.name) for table in tables]
    return words if are_splits(set(words)) else None


def _split_word(name: str) -> str:
    """Return the first or the last word of a file name without endings if it is that of a split, or else ""."""
    words = re.split(r"[-_. ]+", name.lower().partition(".")[0])
    return next((word for word in (words[0], words[-1]) if word in SPLIT_NAMES), "")
