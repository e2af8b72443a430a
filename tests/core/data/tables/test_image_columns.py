"""Columns of photos, found by their values if no name is usual."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.catalogue import read_catalogue
from prodrec.core.data.tables.columns import ColumnNames, TableColumns


def columns(folder: Path, header: str, *rows: str) -> TableColumns:
    path = folder / "t.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    found = read_catalogue([path], ColumnNames(), scratch=folder).columns
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("header", "row", "image", "title"),
    [
        ("name,class", "1.JPG,boot", "name", None),  # Products-10K
        ("name,class,shot", "boot,boot,https://a.example/1.jpg?v=2", "shot", "name"),
        ("name,class,shots", 'boot,boot,"[""1.jpg"", ""2.jpg""]"', "shots", "name"),
        ("sku,name,class", "1,boot,boot", "sku", "name"),  # the photos are called like the id
        ("shot,image,class", "1.jpg,2,boot", "image", None),  # a usual name wins
    ],
)
def test_photos_by_name_or_value(tmp_path: Path, header: str, row: str, image: str, title: str | None) -> None:
    found = columns(tmp_path, header, row, row.replace("1", "3"))
    assert found.images == (image,) and found.title == title


def test_a_column_with_a_few_photos_is_not_that_of_the_photos(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="no image column"):
        columns(tmp_path, "name,class,link", "a,boot,1.jpg", "b,boot,page.html", "c,boot,page")
