"""Folders, tables and columns that are named as splits: `train/`, `test-00000-of-00001.parquet`, `shop_val.csv`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from prodrec.core.base.errors import BadOption
from prodrec.core.data.tables.column_names import SPLIT_COLUMN_NAMES
from prodrec.core.data.tables.columns import NO_SPLITS
from prodrec.core.data.tables.header import Header
from prodrec.core.data.tables.table_sample import TableSample

TRAIN_NAMES = frozenset({"train", "training"})
SPLIT_NAMES = TRAIN_NAMES | {"test", "testing", "val", "valid", "validation", "dev"}
"""Names, in lower case, that mean a split if all folders or tables have one and at least one of them is train."""

_FILLERS = frozenset({"set", "split", "data", "image", "images", "imgs", "photos"})
"""Words that folders of splits have as well: `training_set`, `test_images`."""


def are_splits(names: Collection[str]) -> bool:
    """Return whether the distinct `names`, in lower case, are those of train and of at least one other split."""
    return SPLIT_NAMES.issuperset(names) and not TRAIN_NAMES.isdisjoint(names) and not TRAIN_NAMES.issuperset(names)


def splits_of_tables(tables: Sequence[Path]) -> list[str] | None:
    """Return the split of every table by its name or its folder, or None if they are not named as splits."""
    for names in ([table.name for table in tables], [table.parent.name for table in tables]):
        words = list(map(_split_word, names))
        if are_splits(set(words)):
            return words
    return None


def split_of_folder(name: str) -> str:
    """Return the split as which a folder is named, such as `train` for `Train` and `train_set`, or else ""."""
    words = [word for word in re.split(r"[-_. ]+", name.lower()) if word not in _FILLERS]
    word = words[0].removesuffix("set") if len(words) == 1 else ""
    return word if word in SPLIT_NAMES else ""


def _split_word(name: str) -> str:
    """Return the first or the last word of a file name without endings if it is that of a split, or else ""."""
    words = re.split(r"[-_. ]+", name.lower().partition(".")[0])
    return next((word for word in (words[0], words[-1]) if word in SPLIT_NAMES), "")


def split_note(what: str, names: Collection[str]) -> str:
    """Return a sentence on tables or folders that are splits."""
    return (
        f"{what} are splits by their names: {', '.join(sorted(names))}; --split-column {NO_SPLITS} ignores them and "
        "splits all rows anew"
    )


def refuse_options_of_new_splits(*, split: str | None, balanced_test: int | None) -> None:
    """Raise BadOption if an option for a new split is given, although the inputs are splits by their names.

    split: the ratios that the user gave, or None
    """
    flag = "--balanced-test" if balanced_test is not None else "--split" if split is not None else None
    if flag:
        raise BadOption(
            f"{flag} computes a split, but the inputs are splits by their names; add --split-column {NO_SPLITS} to "
            f"ignore these names, or omit {flag}."
        )


def split_column_notes(header: Header, sample: TableSample) -> list[str]:
    """Return a sentence on a column that nobody named and whose values are those of splits."""
    columns = [header.by_normalised[name] for name in SPLIT_COLUMN_NAMES if name in header.by_normalised]
    return [
        f"the values of the column {column} look like splits, but it is not used; --split-column {shlex.quote(column)} "
        "uses it"
        for column in columns
        if are_splits({value.lower() for value in sample.values(column)})
    ][:1]
