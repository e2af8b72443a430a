"""Splits that tables, folders and columns give by their names, and the remedies that `prepare` names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

from prodrec.core.base.artefact import SPLITS
from prodrec.core.data.dataset import open_dataset

if TYPE_CHECKING:
    from conftest import Shop

Prodrec = Callable[[str], Result]


def printed(result: Result, exit_code: int = 0) -> str:
    """Return the output of a command that ended with `exit_code`, on one line."""
    assert result.exit_code == exit_code, f"{result.output}{result.exception!r}"
    return " ".join(result.output.split())


def sizes(path: Path) -> dict[str, int]:
    """Return the numbers of rows of the splits of a dataset."""
    return dict(Counter(SPLITS[code] for code in open_dataset(path).split_N.tolist()))


GIVEN, ANEW = {"train": 6, "test": 14}, {"train": 14, "test": 4, "validation": 2}


def tables(shop: Shop, splits: Sequence[str]) -> list[Path]:
    """Write a table of 6 rows for `train`, and one of 14 rows for another split."""
    rows = [{"id": f"{i}", "image": shop.photo(f"{i}.png"), "label": "Boots" if i % 2 else "Hats"} for i in range(20)]
    return [shop.table(rows[:6] if split == "train" else rows[6:], f"{split}.csv") for split in splits]


@pytest.mark.parametrize("kind", ["tables", "folders"])
def test_names_of_splits_and_the_remedies(shop: Shop, prodrec: Prodrec, kind: str) -> None:
    """Options of a new split are not ignored silently."""
    if kind == "tables":
        inputs = " ".join(map(str, tables(shop, ["train", "test"]))) + f" --images {shop.photos}"
    else:
        for i in range(20):
            shop.photo(f"{'train' if i < 6 else 'test'}/{'Boots' if i % 2 else 'Hats'}/{i}.png")
        inputs = f"--images {shop.photos}"
    out = shop.directory / "d"
    line = f"prodrec prepare {inputs} --out {out} --force"
    note = printed(prodrec(line))
    assert sizes(out) == GIVEN
    remedy = re.search("--split-column off", note)
    assert remedy, note
    printed(prodrec(f"{line} {remedy[0]}"))
    assert sizes(out) == ANEW and open_dataset(out).taxonomy.levels[-1] in ("label", "leaf")
    assert len(open_dataset(out).taxonomy.leaves) == 2
    for options in ("--balanced-test 2", "--split 8:2:0"):
        for dry in ("", " --dry-run"):
            refused = printed(prodrec(f"{line.partition(' --out')[0] if dry else line} {options}{dry}"), 2)
            assert "add --split-column off to ignore these names" in refused
        printed(prodrec(f"{line} {options} --split-column off"))
        assert sizes(out)["test"] == 4 and sizes(out) != GIVEN


def test_tables_in_folders_that_are_splits(shop: Shop, prodrec: Prodrec) -> None:
    paths = []
    for table in tables(shop, ["train", "valid"]):
        folder = shop.directory / table.stem
        folder.mkdir()
        paths.append(table.rename(folder / "labels.csv"))
    printed(prodrec(f"prodrec prepare {paths[0]} {paths[1]} --images {shop.photos} --out {shop.directory / 'd'}"))
    assert sizes(shop.directory / "d") == {"train": 6, "validation": 14}


def test_a_column_of_splits_is_named_but_not_used(shop: Shop, prodrec: Prodrec) -> None:
    rows = [
        {"id": f"{i}", "image": shop.photo(f"{i}.png"), "label": "Boots", "Data Split": "Training" if i < 6 else "TEST"}
        for i in range(20)
    ]
    out = shop.directory / "d"
    line = f"prodrec prepare {shop.table(rows)} --images {shop.photos} --out {out} --force"
    remedy = re.search(r"--split-column '[^']+'", note := printed(prodrec(line)))
    assert remedy and sizes(out) == ANEW, note
    assert "look like splits" not in printed(prodrec(f"{line} {remedy[0]}"))
    assert sizes(out) == GIVEN
    for flag in ("--split 8:1:1", "--balanced-test 2"):
        assert "use one of them" in printed(prodrec(f"{line} {remedy[0]} {flag}"), 2)
    assert "look like splits" not in printed(prodrec(f"{line} --split-column off"))


def test_ids_of_classes_do_not_keep_whole_classes_in_one_split(shop: Shop, prodrec: Prodrec) -> None:
    rows = [
        {"id": f"{i % 2}", "image": shop.photo(f"{i}.png"), "label": "Boots" if i % 2 else "Hats"} for i in range(20)
    ]
    out = shop.directory / "d"
    line = f"prodrec prepare {shop.table(rows)} --images {shop.photos} --out {out} --force"
    note = printed(prodrec(line))
    assert sizes(out) == ANEW
    assert "--group-by id" in note and "--group-by id" in printed(prodrec(line.partition(" --out")[0] + " --dry-run"))
    printed(prodrec(f"{line} --group-by id"))
    assert sizes(out) == {"train": 20}


def test_a_dataset_without_training_photos_is_reported_with_remedies(shop: Shop, prodrec: Prodrec) -> None:
    rows = [
        {"id": f"{i}", "image": shop.photo(f"{i}.png"), "label": "Boots", "fold": "test" if i < 6 else "train"}
        for i in range(20)
    ]
    test, train = shop.table(rows[:6], "a.csv"), shop.table(rows[6:], "b.csv")
    out = shop.directory / "d"
    line = f"prodrec prepare {test} --images {shop.photos} --out {out} --force"
    assert "no row is in train" in printed(prodrec(f"{line} --split-column fold"))
    assert "no row is in" not in printed(prodrec(line))  # without the option
    assert "no row is in" not in printed(prodrec(f"{line} --split-column fold".replace("a.csv", f"a.csv {train}")))
