"""`prepare --borrowed-titles`: which rows take a title, what is counted, and which tables are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable, NotFound
from prodrec.core.data.tables.borrowed_titles import (
    COLUMNS,
    LENDER_COLUMN,
    SIMILARITY_COLUMN,
    BorrowedTitle,
    apply_borrowed_titles,
    write_borrowed_titles,
)
from prodrec.core.data.tables.catalogue import Catalogue, read_catalogue
from prodrec.core.data.tables.columns import ColumnNames

HEADER = ",".join(COLUMNS)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Two photos of p0 without a title, one of p1 with a title, and one of =p2 without."""
    rows = ["id,image,title,leaf", "p0,0.jpg,,a", "p0,1.jpg,,a", "p1,2.jpg,own,b", "=p2,3.jpg,,b"]
    (tmp_path / "products.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (tmp_path / "scratch").mkdir()
    return read_catalogue([tmp_path / "products.csv"], ColumnNames(levels=("leaf",)), scratch=tmp_path / "scratch")


def apply(catalogue: Catalogue, tmp_path: Path, text: str) -> Catalogue:
    (tmp_path / "b.csv").write_text(text, "utf-8")
    return apply_borrowed_titles(catalogue, tmp_path / "b.csv", tmp_path / "scratch")


def test_a_table_that_was_written_is_applied_photo_by_photo(catalogue: Catalogue, tmp_path: Path) -> None:
    table = [
        BorrowedTitle("p0", "1.jpg", "-red, shirt", 0.75, "p1"),
        BorrowedTitle("p1", "2.jpg", "other", 0.9, "p1"),
        BorrowedTitle("=p2", "3.jpg", "mug", 1.0, "@q"),
        BorrowedTitle("p9", "9.jpg", "stranger", 0.5, "p1"),
    ]
    write_borrowed_titles(tmp_path / "b.csv", table)
    assert "'=p2" in (tmp_path / "b.csv").read_text("utf-8")
    done = apply_borrowed_titles(catalogue, tmp_path / "b.csv", tmp_path / "scratch")
    assert done.read_column("title").to_list() == [None, "-red, shirt", "own", "mug"]
    assert done.read_column(LENDER_COLUMN).to_list() == [None, "p1", None, "@q"]
    assert done.read_column(SIMILARITY_COLUMN).to_list() == [None, 0.75, None, 1.0]
    assert done.borrowed_titles is not None
    assert done.borrowed_titles.counts == {"borrowed": 2, "own": 1, "unknown": 1}
    assert done.notes[-1] == (
        "b.csv: 2 rows take the titles of other photos; 1 line is for photos with a title of their own; "
        "1 line names no photo of the tables"
    )


def test_rows_without_an_image_are_matched_by_their_id(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("id,title,leaf\np0,,a\np1,own,a\n", "utf-8")
    (tmp_path / "scratch").mkdir()
    columns = ColumnNames(levels=("leaf",))
    catalogue = read_catalogue([tmp_path / "products.csv"], columns, scratch=tmp_path / "scratch", needs_image=False)
    done = apply(catalogue, tmp_path, f"{HEADER}\np0,,lent,0.5,p1\n")
    assert done.read_column("title").to_list() == ["lent", "own"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,image,title,similarity\np0,0.jpg,a,1\n", r"no column 'lender' \(--borrowed-titles\)"),
        (
            f"{HEADER}\np0,0.jpg,,0.5,p1\n",
            r"b\.csv, row 2, has no title; expected a table of `prodrec borrow-",
        ),
        (f"{HEADER}\np0,0.jpg,a,0.5,p1\n,1.jpg,a,0.5,p1\n", "row 3, has no id"),
        (f"{HEADER}\np0,0.jpg,a,near,p1\n", "row 2, has the similarity 'near'; expected a number between -1 and 1"),
        (f"{HEADER}\np0,0.jpg,a,1.5,p1\n", "row 2, has the similarity '1.5'; expected"),
        (
            f"{HEADER}\np1,2.jpg,a,1,p1\np0,0.jpg,a,1,p1\np0,0.jpg,b,1,p1\n",
            r"rows 3 and 4, are both about 0\.jpg; leave one line for each photo\.",
        ),
    ],
)
def test_bad_tables_are_one_sentence(catalogue: Catalogue, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        apply(catalogue, tmp_path, text)


def test_a_missing_table_is_not_found(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.csv"):
        apply_borrowed_titles(catalogue, tmp_path / "none.csv", tmp_path / "scratch")
