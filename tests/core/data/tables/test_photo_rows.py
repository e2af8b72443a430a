"""Rows of a table with the photos and products that they name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.data.tables.photo_rows import read_photo_rows


def photos_of(path: Path, **requested: str) -> list[tuple[int, int, str, str | None]]:
    rows = read_photo_rows(path, ColumnNames(**requested))
    return rows.photos.select("position", "row", "product", "image").rows()  # type: ignore[return-value]


def test_a_row_for_every_photo_without_categories(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("sku,photo,price\na,1.jpg,5\na,2.jpg;3.jpg,6\n,4.jpg,7\nb,,8\n", "utf-8")
    assert photos_of(table) == [
        (0, 2, "a", "1.jpg"),
        (1, 3, "a", "2.jpg"),
        (1, 3, "a", "3.jpg"),
        (2, 4, "\0row 4", "4.jpg"),
        (3, 5, "b", None),
    ]
    rows = read_photo_rows(table, ColumnNames())
    assert rows.columns == ("sku", "photo", "price")
    assert rows.cells_of(2) == {"sku": "", "photo": "4.jpg", "price": "7"}


def test_requested_columns(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("sku\timage\tfront\tstyle\na\tx.jpg\t1.jpg\ts\nb\ty.jpg\t2.jpg\ts\n", "utf-8")
    assert photos_of(table, image="front", group_by="style") == [(0, 2, "s", "1.jpg"), (1, 3, "s", "2.jpg")]
    assert [product for *_, product, _ in photos_of(table, group_by="none")] == ["a", "b"]
    with pytest.raises(BadTable, match=r"has no column 'frnt' \(--image\) \(did you mean front\?\)"):
        photos_of(table, image="frnt")


def test_tables_without_names_of_photos(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("price,stock\n1,2\n", "utf-8")
    with pytest.raises(BadTable, match="has no image column; name it with --image"):
        photos_of(table)
    inside = tmp_path / "t.parquet"
    pl.DataFrame({"id": ["a"], "image": [b"\xff\xd8\xff\xe0"], "file": ["a.jpg"]}).write_parquet(inside)
    with pytest.raises(BadTable, match="contains the photos themselves in the column image"):
        photos_of(inside)
    assert photos_of(inside, image="file") == [(0, 1, "a", "a.jpg")]


def test_malformed_rows_and_repeated_columns(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,image,note,note\na,1.jpg,x,y\nb,2.jpg,x,y,z,w\n", "utf-8")
    rows = read_photo_rows(table, ColumnNames())
    assert rows.columns == ("id", "image") and rows.cells_of(0) == {"id": "a", "image": "1.jpg"}
    assert rows.photos["problem"].is_null().to_list() == [True, False]
