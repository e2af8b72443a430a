"""Without a table, the folders of the photos are their categories, or their splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.tables.folder_catalogue import catalogue_from_folders


def read(names: list[str], scratch: Path, **options: Any) -> Catalogue:
    return catalogue_from_folders(names, Path("photos"), scratch=scratch, **options)


def test_folders(tmp_path: Path) -> None:
    names = ["A/B/1.jpg", "A/C/2.jpg", "A/3.jpg", "4.jpg"]
    catalogue = read(names, tmp_path)
    assert catalogue.levels == ("level1", "leaf") and not catalogue.has_products
    assert catalogue.frame.collect().select("id", "level_0", "level_1").rows() == [
        ("A/B/1.jpg", "A", "B"),
        ("A/C/2.jpg", "A", "C"),
        ("A/3.jpg", "A", None),  # its path ends early
        ("4.jpg", None, None),
    ]
    assert read(names, tmp_path, levels=["kind"]).frame.collect()["level_0"].to_list() == ["A", "A", "A", None]
    for without_folders in ([], ["1.jpg"]):
        with pytest.raises(BadTable, match="root/…/leaf"):
            read(without_folders, tmp_path)


def test_names_of_folders_are_cleaned_but_not_cut(tmp_path: Path) -> None:
    names = ["Décor, Lamps > Desk/1.jpg", "De\u0301cor, Lamps > Desk/2.jpg", "H&amp;M;B|C/D|E/3.jpg", "[x]/4.jpg"]
    frame = read(names, tmp_path).frame.collect()
    assert frame["level_0"].to_list() == ["Décor, Lamps > Desk", "Décor, Lamps > Desk", "H&M;B|C", "[x]"]


def test_files_that_are_no_photos_are_rows_with_a_problem(tmp_path: Path) -> None:
    catalogue = read(["A/1.jpg"], tmp_path, skipped=["A/notes.txt"], skip_reasons=["not a photo"])
    assert catalogue.frame.collect().select("image", "level_0", "problem").rows() == [
        ("A/1.jpg", "A", None),
        ("A/notes.txt", None, "not a photo"),
    ]


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["train", "test"], True),
        (["Train", "VAL", "test"], True),
        (["training", "validation"], True),
        (["train", "test", "shoes"], False),
    ],
)
def test_split_folders(tmp_path: Path, folders: list[str], splits: bool) -> None:
    catalogue = read([f"{folder}/{leaf}/1.jpg" for folder in folders for leaf in "ab"], tmp_path)
    frame = catalogue.frame.collect()
    assert catalogue.has_split == splits
    assert len(catalogue.levels) == (1 if splits else 2)
    assert frame["split"].to_list() == [folder.lower() if splits else None for folder in folders for _ in "ab"]
    assert frame["image"][0] == f"{folders[0]}/a/1.jpg"
    assert any("splits" in note for note in catalogue.notes) == splits


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ds/train/a/1.jpg", "ds/test/a/2.jpg"], [("train", "a"), ("test", "a")]),  # the folder of an archive
        (["a/train/1.jpg", "a/test/2.jpg", "b/train/3.jpg"], [("train", "a"), ("test", "a"), ("train", "b")]),
        (["a/b/train/1.jpg", "a/b/test/2.jpg", "c/train/3.jpg"], [("train", "a/b"), ("test", "a/b"), ("train", "c")]),
        (["a/train/x/1.jpg", "b/test/x/2.jpg"], [("train", "a/x"), ("test", "b/x")]),
        (["a/train/1.jpg", "a/test/2.jpg", "b/x/3.jpg"], [(None, "a/train"), (None, "a/test"), (None, "b/x")]),
        (["train/1.jpg", "test/2.jpg"], [("train", ""), ("test", "")]),  # without categories
    ],
)
def test_split_folders_below_others(tmp_path: Path, names: list[str], expected: list[tuple[str | None, str]]) -> None:
    catalogue = read(names, tmp_path)
    frame = catalogue.frame.collect()
    levels = [f"level_{i}" for i in range(len(catalogue.levels))]
    paths = ["/".join(name for name in row if name) for row in frame.select(levels).rows()]
    assert list(zip(frame["split"], paths, strict=True)) == expected


@pytest.mark.parametrize("folders", [["train"], ["test", "val"]])
def test_folders_of_some_splits_are_not_categories(tmp_path: Path, folders: list[str]) -> None:
    """There is no train or nothing else, so all photos are split anew."""
    catalogue = read([f"{folder}/{leaf}/1.jpg" for folder in folders for leaf in "ab"], tmp_path)
    assert not catalogue.has_split and catalogue.levels == ("leaf",)
    assert any(text in catalogue.notes[0] for text in ("folder train is no cat", "folders test, val are no cat"))


def test_split_folders_can_be_ignored(tmp_path: Path) -> None:
    """They are no categories then either."""
    catalogue = read(["train/a/1.jpg", "test/a/2.jpg"], tmp_path, ignore_splits=True)
    assert not catalogue.has_split and catalogue.frame.collect()["level_0"].to_list() == ["a", "a"]
