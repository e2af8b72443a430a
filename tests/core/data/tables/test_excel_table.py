from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.columnar_table import ColumnarTable
from prodrec.core.data.tables.excel_table import open_excel
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN


class Date(NamedTuple):
    """A date as Excel stores it: days since 1899-12-30, in a cell with a date format."""

    days: float


Cell = str | int | float | bool | Date | None
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def write_workbook(path: Path, *sheets: Sequence[Sequence[Cell]]) -> Path:
    """Write a workbook with the sheets S1, S2, …"""
    numbers = range(1, len(sheets) + 1)
    types = "".join(
        f'<Override PartName="/xl/{part}" ContentType="application/vnd.openxmlformats-officedocument.{content}+xml"/>'
        for part, content in [
            ("workbook.xml", "spreadsheetml.sheet.main"),
            ("styles.xml", "spreadsheetml.styles"),
            *((f"worksheets/sheet{i}.xml", "spreadsheetml.worksheet") for i in numbers),
        ]
    )
    relations = "".join(
        f'<Relationship Id="r{i}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{i}.xml"/>' for i in numbers
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(f'<sheet name="S{i}" sheetId="{i}" r:id="r{i}"/>' for i in numbers)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{relations}'
        f'<Relationship Id="styles" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs count="2">'
        '<xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    for i, rows in zip(numbers, sheets, strict=True):
        lines = "".join(
            f'<row r="{r}">{"".join(cell(f"{chr(65 + c)}{r}", value) for c, value in enumerate(row))}</row>'
            for r, row in enumerate(rows, 1)
            if row
        )
        parts[f"xl/worksheets/sheet{i}.xml"] = f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return path


def cell(place: str, value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    if isinstance(value, Date):
        return f'<c r="{place}" s="1"><v>{value.days}</v></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def read(table: ColumnarTable, *columns: str) -> list[tuple[int | str | None, ...]]:
    (chunk,) = table.chunks(columns)
    return chunk.select(ROW_COLUMN, PROBLEM_COLUMN, *columns).collect().rows()


def test_cells_are_text(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [
        ["id", "price", "new", "added", "mixed"],
        [4006381333931, 2.5, True, Date(45000), 7],
        ["A-7", 3.0, False, Date(45001.5), "x"],
        [None, 1e-7, None, None, " y "],
    ]
    table = open_excel(write_workbook(tmp_path / "t.xlsx", rows))
    assert table.header == rows[0] and table.notes == []
    assert read(table, "id", "price", "new", "mixed") == [
        (2, None, "4006381333931", "2.5", "true", "7"),
        (3, None, "A-7", "3", "false", "x"),
        (4, None, None, "0.0000001", None, " y "),
    ]
    assert [str(row[2])[:10] for row in read(table, "added")[:2]] == ["2023-03-15", "2023-03-16"]


def test_late_text_in_a_column_of_numbers(tmp_path: Path) -> None:
    """A type guessed from the first rows would lose it."""
    rows = [["id", "leaf"], *([i, "x"] for i in range(1500)), ["A-7", "y"]]
    assert read(open_excel(write_workbook(tmp_path / "t.xlsx", rows)), "id")[-1] == (1502, None, "A-7")


def test_rows_have_the_numbers_of_the_spreadsheet(tmp_path: Path) -> None:
    """Blank rows count, at the top too, and blank columns on the left are no columns."""
    rows: list[list[Cell]] = [[], [], [None, "id", "leaf"], [None, 1, "x"], [], [None, " ", None], [None, 2, None]]
    table = open_excel(write_workbook(tmp_path / "t.xlsx", rows))
    assert read(table, "id", "leaf") == [
        (4, None, "1", "x"),
        (5, "row 5: blank", None, None),
        (6, "row 6: blank", None, None),
        (7, None, "2", None),
    ]
    assert read(table) == [(4, None), (5, "row 5: blank"), (6, "row 6: blank"), (7, None)]


def test_names_that_occur_twice(tmp_path: Path) -> None:
    table = open_excel(write_workbook(tmp_path / "t.xlsx", [["id", "leaf", None, "id", None], [1, "x", 2, 3, 4]]))
    assert table.header == ["id", "leaf", "", "id", ""]
    assert read(table, "leaf") == [(2, None, "x")]
    with pytest.raises(BadTable, match="has the column 'id' 2 times; rename all but one"):
        read(table, "id")


def test_several_sheets(tmp_path: Path) -> None:
    """Those without rows do not count."""
    first, second = [["id"], [1]], [["id"], [2]]
    path = tmp_path / "t.xlsx"
    table = open_excel(write_workbook(path, [], [["read me"]], first, second, second))
    assert read(table, "id") == [(2, None, "1")]
    assert table.notes == [f"{path}: the sheet 'S3' is read; 2 other sheets are ignored"]
    assert open_excel(write_workbook(path, first, [])).notes == []


@pytest.mark.parametrize("sheets", [[[]], [[["id", "image"]]]])
def test_no_rows(tmp_path: Path, sheets: list[list[list[Cell]]]) -> None:
    with pytest.raises(BadTable, match=r"t\.xlsx has no sheet with a header and rows\.$"):
        open_excel(write_workbook(tmp_path / "t.xlsx", *sheets))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"is empty; expected a workbook\."),
        (b"<html><table><tr><td>id", r"contains HTML or XML, not a workbook; save it as \.xlsx"),
        (b"PK\x03\x04" + bytes(200), "is not readable as an Excel workbook: "),
    ],
)
def test_what_is_no_workbook(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(data)
    with pytest.raises(BadTable, match=f"t\\.xlsx {words}"):
        open_excel(path)


def test_remedies_for_wrong_names(tmp_path: Path) -> None:
    """Text named as a workbook, and a workbook named as text."""
    text = tmp_path / "export.xls"
    text.write_text("id\timage\n1\ta.jpg\n")
    with pytest.raises(BadTable, match=r"contains text, not a workbook; give it a name with \.csv at the end\.$"):
        open_table(text)
    assert open_table(text.rename(text.with_suffix(".csv"))).header == ["id", "image"]
    workbook = write_workbook(tmp_path / "book.csv", [["id"], [1]])
    with pytest.raises(BadTable, match=r"give it a name with \.zip or \.xlsx at the end\.$"):
        open_table(workbook)
    assert open_table(workbook.rename(workbook.with_suffix(".xlsx"))).header == ["id"]


def test_rows_above_the_header_and_sheets_of_instructions(tmp_path: Path) -> None:
    """Reports have a title, and Amazon's templates have instructions and two rows above the names of the columns."""
    title = [["Product report"], [], ["SKU", "Name", "Category"], ["1", "Boot", "Boots"]]
    template = [
        *(["TemplateType=fptcustom", "Version=2023.1"], ["Seller SKU", "Product Name"], ["item_sku", "item_name"]),
        ["1", "Boot"],
    ]
    for rows, first_row in ((title, 4), (template, 4)):
        path = write_workbook(tmp_path / f"{first_row}.xlsx", [["How to", "Definition"], ["SKU", "a code"]], rows)
        table = open_excel(path)
        assert table.header == rows[2]
        frame = next(iter(table.chunks(table.header))).collect()
        assert frame.rows() == [(first_row, None, *rows[3])]
        assert any("the header is row 3; 2 rows above it" in note or "1 row above it" in note for note in table.notes)
