"""The header below lines that are none, and the separator of a table."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.records import ROW_COLUMN

EBAY = '#INFO,Version=0.0.2,Template= eBay-draft,\n"#INFO Action and Category ID, both are required",,\n#INFO,,\n'
META = "# Required | The unique ID of the item.,# Required | A title.,# Optional\n"
AMAZON = "TemplateType=fptcustom\tVersion=2023.1211\tThe top 3 rows\nSeller SKU\tProduct Name\tMain Image URL\n"


@pytest.mark.parametrize(
    ("above", "header", "rows", "first_row"),
    [
        ("", "a,b,c", "1,2,3", 2),
        (EBAY, "*Action(SiteID=US),b,*Title", "1,2,3", 5),
        (META, "id,title,colour", "1,2,3", 3),
        (AMAZON, "item_sku\titem_name\tmain_image_url", "1\t2\t3", 4),
        ("TemplateType=Offer\tVersion=1.4\t\n", "Sku\tName\tPrice", "1\t2\t3", 3),
        ("3\n", "image_name item_id   status", "a.jpg   1      train  \nb.jpg  2 test", 3),
        ("", "image_id class_id path", "1 2 a/1.JPG\n2 2 a/2.JPG", 2),
        ("sep=;\n", "a;b;c", "1;2;3", 2),
        ("Product report\nGenerated 2024-01-01\n\n", "a,b,c", "1,2,3", 5),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_lines_above_the_header_are_no_rows(
    tmp_path: Path, above: str, header: str, rows: str, first_row: int, ending: str
) -> None:
    path = tmp_path / f"table.{ending}"
    path.write_text(f"{above}{header}\n{rows}\n", "utf-8")
    table = open_table(path)
    assert len(table.header) == 3 and table.header[0] in header
    frame = pl.concat([chunk.collect() for chunk in table.chunks(table.header)])
    assert frame[ROW_COLUMN].to_list() == list(range(first_row, first_row + len(rows.splitlines())))
    assert frame.null_count().sum_horizontal().item() == frame.height, "the problem of every row"
    assert frame[table.header[2]][0] == re.split(r"[,;\s]", rows.splitlines()[0].strip())[-1]
    assert any("above it" in note for note in table.notes) == (bool(above) and not above.startswith("sep"))


def test_a_column_of_numbers_keeps_its_header(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("2020\nboot\ncap\n", "utf-8")
    assert open_table(path).header == ["2020"]


def test_a_header_may_begin_with_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("#,#id,title\n1,2,3\n", "utf-8")
    assert open_table(path).header == ["#", "#id", "title"]
