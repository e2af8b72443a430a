from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables import text_file
from prodrec.core.data.tables.csv_table import CsvTable, open_csv
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN
from prodrec.core.data.tables.text_file import open_text

Row = tuple[int | str | None, ...]


def open_table(path: Path, content: str | bytes, separator: str | None = None) -> CsvTable:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_csv(open_text(path)[0], separator)


def read(table: CsvTable, *columns: str) -> list[Row]:
    """Return row number, problem and the values of all rows; "" is None."""
    rows = list[Row]()
    for chunk in table.chunks(columns):
        frame = chunk.select(ROW_COLUMN, PROBLEM_COLUMN, *columns).collect()
        rows += [tuple(value or None for value in row) for row in frame.rows()]
    return rows


@pytest.mark.parametrize(
    "text",
    [
        "id,image,title\n1,a.jpg,red shirt\n2,b.jpg,\n",
        "id,image,title\n1,a.jpg,red shirt\n2,b.jpg,",
        "id;image;title\r\n1;a.jpg;red shirt\r\n2;b.jpg;\r\n",
        "id\timage\ttitle\r1\ta.jpg\tred shirt\r2\tb.jpg\t\r",
        "id|image|title\r1|a.jpg|red shirt\r2|b.jpg|",
        "\ufeffid,image,title\n1,a.jpg,red shirt\n2,b.jpg,\n",
        'id,image,title\n1,"a.jpg","red shirt"\n2,b.jpg,""\n',
        '"id";"image";"title"\n1;"a.jpg";"red shirt"\n2;"b.jpg";""\n',
        "sep=;\r\nid;image;title\r\n1;a.jpg;red shirt\r\n2;b.jpg;\r\n",
        'id;image;"title"\n1;a.jpg;red shirt\n2;b.jpg\n'.replace("2;b.jpg", "2;b.jpg;"),
        "id,image,title,\n1,a.jpg,red shirt,\n2,b.jpg,,\n",
        "id,image,title\n1,a.jpg,red shirt,,\n2,b.jpg,,,\n",
        "id,image,title,,\n1,a.jpg,red shirt\n2,b.jpg,\n",
        '"sep=;"\nid;image;title\n1;a.jpg;red shirt\n2;b.jpg;\n',
    ],
)
def test_separators_and_line_ends(tmp_path: Path, text: str) -> None:
    table = open_table(tmp_path / "t.csv", text)
    assert [name for name in table.header if name] == ["id", "image", "title"]
    assert read(table, "title", "id") == [(2, None, "red shirt", "1"), (3, None, None, "2")]


def test_a_column_without_a_name_may_have_values(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv", "id,image,\n\n1,a.jpg\n2,b.jpg,red\n")
    problems = ["line 2: blank", "line 3: 2 fields where the header has 3", None]
    assert [problem for _, problem in read(table)] == problems


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ('"id, of the shop";image;leaf', ";"),
        ("id|image, main|leaf", "|"),
        ('id\t"title; or, name, if any"\tleaf', "\t"),
        ("image", ","),
    ],
)
def test_separators_in_quotes_do_not_count(tmp_path: Path, header: str, separator: str) -> None:
    assert open_table(tmp_path / "t.csv", header + "\n").separator == separator


def test_equally_frequent_separators_are_decided_by_the_rows(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv", "id;image, main\n1;a.jpg\n2;b.jpg\n")
    assert table.header == ["id", "image, main"]


def test_a_tsv_that_is_a_csv(tmp_path: Path) -> None:
    assert open_table(tmp_path / "t.tsv", "id,image\n1,a\n", "\t").header == ["id", "image"]


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_header_over_two_lines(tmp_path: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one row of a spreadsheet, also if it is longer than a block; lines count as in an editor."""
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block_bytes)
    table = open_table(tmp_path / "t.csv", '\nid,"image\nof the product",leaf\n1,a,x\n2,b\n')
    assert table.header == ["id", "image\nof the product", "leaf"]
    assert read(table, "id") == [(3, None, "1"), (4, "line 5: 2 fields where the header has 3", None)]


def test_lone_quote_in_the_header(tmp_path: Path) -> None:
    rows = "".join(f"{i},a,x\n" for i in range(20))
    assert open_table(tmp_path / "t.csv", f'id,"image,leaf\n{rows}20,b,"y"\n').header == ["id", '"image', "leaf"]


@pytest.mark.parametrize("text", ["id,image\n", "id,image", "id,image\r\n", "\nid,image"])
def test_header_without_rows(tmp_path: Path, text: str) -> None:
    """There is one empty chunk, which has the columns."""
    table = open_table(tmp_path / "t.csv", text)
    (chunk,) = table.chunks(["image"])
    frame = chunk.collect()
    assert frame.height == 0 and set(frame.columns) == {"image", ROW_COLUMN, PROBLEM_COLUMN}


def test_repeated_and_empty_names(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv", ",id,image,id,\n0,1,a,2,\n")
    assert read(table, "image") == [(2, None, "a")]
    with pytest.raises(BadTable, match=r"t\.csv has the column 'id' 2 times; rename all but one\.$"):
        read(table, "id")


def test_malformed_rows_do_not_stop_the_reading(tmp_path: Path) -> None:
    table = open_table(tmp_path / "t.csv", 'id,image,leaf\n1,a,"x\ny"\n2,b\n\n,,\n3,c,y,z\n4,"d,x\n')
    assert read(table, "id", "leaf") == [
        (2, None, "1", "x\ny"),
        (3, "line 4: 2 fields where the header has 3", None, None),
        (4, "line 5: blank", None, None),
        (5, None, None, None),
        (6, "line 7: 4 fields where the header has 3", None, None),
        (7, None, "4", "x"),
    ]
    assert len(table.notes) == 1 and "1 line (8)" in table.notes[0]
    read(table, "id")
    assert len(table.notes) == 1


def test_no_column(tmp_path: Path) -> None:
    assert read(open_table(tmp_path / "t.csv", 'id,image\n1,a\n2,"b"\n3\n')) == [
        (2, None),
        (3, None),
        (4, "line 4: 1 field where the header has 2"),
    ]


# --- mangled tables


def written_table(rng: random.Random) -> tuple[str, str]:
    """Return a table as csv.writer writes it, and its separator."""
    separator = rng.choice(",;\t|")
    file = io.StringIO()
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    writer = csv.writer(file, delimiter=separator, lineterminator=rng.choice(["\n", "\r\n"]), quoting=quoting)
    writer.writerow(["id", "image", "title", "leaf"])
    titles = ["red shirt", '5" heel', "soft, warm", "中文，标题", "two\nlines", 'a "b"', "", "é"]
    for i in range(rng.randrange(15)):
        writer.writerow([i, f"{i}.jpg", rng.choice(titles), rng.choice("xyz")])
    return file.getvalue(), separator


def mangle(text: str, rng: random.Random) -> bytes:
    """Return the bytes of a table after some accidents."""
    for _ in range(rng.randrange(4)):
        place = rng.randrange(len(text) + 1)
        accident = rng.randrange(5)
        if accident == 0:
            text = text[:place] + rng.choice(['"', ",", ";", "\n", "\r\n", "\r", "\n\n", "\0", '","']) + text[place:]
        elif accident == 1:
            text = text[:place] + text[place + rng.randrange(5) :]
        elif accident == 2:
            text = text[:place]
    data = text.encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "gb18030"]))
    if rng.random() < 0.2:
        place = rng.randrange(len(data) + 1)
        data = data[:place] + rng.randbytes(rng.randrange(4)) + data[place:]
    return data


def test_mangled_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line belongs to one row, whatever the size of the blocks, and nothing but BadTable is raised."""
    rng, path, refused = random.Random(3), tmp_path / "t.csv", 0
    for _ in range(250):
        data = mangle(written_table(rng)[0], rng)
        results = list[tuple[list[str], list[Row], list[str]]]()
        for block_bytes in (rng.choice([1, 7]), 64, 1 << 20):
            monkeypatch.setattr(text_file, "BLOCK_BYTES", block_bytes)
            try:
                table = open_table(path, data)
            except BadTable:
                continue
            first, last = table.header[0], table.header[-1]
            columns = [name for name in dict.fromkeys([first, last]) if table.header.count(name) == 1]
            results.append((table.header, read(table, *columns), table.notes))
        refused += not results
        assert len(results) in (0, 3) and all(result == results[0] for result in results), data
        if results:
            rows = results[0][1]
            assert [row[0] for row in rows] == list(range(table.first_row, table.first_row + len(rows)))
    assert refused < 25


def test_written_tables_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    for _ in range(150):
        text, separator = written_table(rng)
        monkeypatch.setattr(text_file, "BLOCK_BYTES", rng.choice([1, 30, 1 << 20]))
        table = open_table(tmp_path / "t.csv", text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"])))
        _, *expected = csv.reader(io.StringIO(text.replace("\r\n", "\n")), delimiter=separator)
        rows = [(i, None, *(value or None for value in row)) for i, row in enumerate(expected, 2)]
        assert read(table, *table.header) == rows, text
