"""Rows with the same id are one product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prodrec.core.data.prepare.products import are_classes, find_products, large_product_notes, product_groups
from prodrec.core.data.tables.catalogue import Catalogue, read_catalogue
from prodrec.core.data.tables.columns import ColumnNames


def read(folder: Path, ids: list[str], requested: ColumnNames | None = None) -> Catalogue:
    path = folder / "t.csv"
    path.write_text("id,image,leaf\n" + "".join(f"{id_},{i}.jpg,Boots\n" for i, id_ in enumerate(ids)), "utf-8")
    return read_catalogue([path], requested or ColumnNames(), scratch=folder)


def test_products_are_numbered_in_order_of_their_first_rows(tmp_path: Path) -> None:
    catalogue = read(tmp_path, ["b", "a", "b", "c", "a"])
    assert product_groups(catalogue, np.arange(5)).tolist() == [0, 1, 0, 2, 1]
    assert product_groups(catalogue, np.array([1, 3, 4])).tolist() == [0, 1, 0]
    assert product_groups(read(tmp_path, ["b", "a"]), np.arange(2)).tolist() == [0, 1]
    alone = read(tmp_path, ["b", "b"], ColumnNames(group_by="none"))
    assert product_groups(alone, np.arange(2)).tolist() == [0, 1]


@pytest.mark.parametrize(("rows", "reported"), [(100, False), (101, True)])
def test_a_value_on_very_many_rows_is_reported(tmp_path: Path, rows: int, reported: bool) -> None:
    catalogue = read(tmp_path, ["x"] * rows + [f"{i}" for i in range(50)])
    all_rows = np.arange(rows + 50)
    notes = large_product_notes(catalogue, all_rows, product_groups(catalogue, all_rows))
    assert len(notes) == reported
    assert not notes or ("'x'" in notes[0] and "--group-by none" in notes[0])


CLASSES = [f"{i % 3}" for i in range(30)]


@pytest.mark.parametrize(
    ("ids", "classes", "expected"),
    [
        (CLASSES, CLASSES, True),
        ([f"{int(c) // 2}" for c in CLASSES], CLASSES, True),  # ids of categories above
        (CLASSES[:29], CLASSES[:29], False),  # fewer rows of a value, as of a product that is a class
        (CLASSES, ["0"] * 30, False),  # three products of one class
        (["0"] * 30, CLASSES, False),  # a single value
        ([*CLASSES[:-1], "x"], CLASSES, False),
    ],
)
def test_ids_of_classes(ids: list[str], classes: list[str], expected: bool) -> None:
    product_N = np.array([sorted(set(ids)).index(id_) for id_ in ids])
    assert are_classes(product_N, np.array(classes, dtype=np.int32)) == expected


def test_rows_of_class_ids_are_split_apart_unless_they_are_named(tmp_path: Path) -> None:
    catalogue, rows_N, class_N = read(tmp_path, CLASSES), np.arange(30), np.array(CLASSES, dtype=np.int32)
    product_N, notes = find_products(catalogue, rows_N, class_N, group_by="auto")
    assert product_N.tolist() == list(range(30)) and "--group-by id keeps them together" in notes[0]
    product_N, notes = find_products(catalogue, rows_N, class_N, group_by="id")
    assert product_N.tolist() == class_N.tolist() and not notes


def test_products_with_rows_of_several_classes_are_reported(tmp_path: Path) -> None:
    catalogue, rows_N = read(tmp_path, ["x", "a", "a", "b", "b", "c"]), np.arange(6)
    _, notes = find_products(catalogue, rows_N, np.array([3, 0, 0, 0, 1, 2], np.int32), group_by="auto")
    assert notes == ["1 product has rows of different categories, such as 'b'; each row keeps its own"]
    _, notes = find_products(catalogue, rows_N, np.array([3, 0, 0, 1, 1, 2], np.int32), group_by="auto")
    assert notes == []
