from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from prodrec.core.base.errors import BadTable, NotFound
from prodrec.core.data.tables.files import ROW_COLUMN, map_chunks, read_header


def read_columns(table: Path, columns: list[str]) -> pl.DataFrame:
    return pl.concat(map_chunks(table, columns, lambda chunk: chunk.collect(engine="streaming")))


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "id,image,title\n1,a.jpg,red shirt\n2,b.jpg,\n"),
        ("t.csv", "id;image;title\r\n1;a.jpg;red shirt\r\n2;b.jpg;\r\n"),
        ("t.CSV", "\ufeffid,image,title\n1,a.jpg,red shirt\n2,b.jpg,\n"),
        ("t.csv", 'id,image,title\n1,"a.jpg","red shirt"\n2,b.jpg,""\n'),
        ("t.tsv", "id\timage\ttitle\n1\ta.jpg\tred shirt\n2\tb.jpg\t\n"),
        ("t.csv.gz", gzip.compress(b"id,image,title\n1,a.jpg,red shirt\n2,b.jpg,\n")),
    ],
)
def test_text_tables(tmp_path: Path, name: str, text: str | bytes) -> None:
    table = write(tmp_path / name, text)
    assert read_header(table) == ["id", "image", "title"]
    rows = [(row, title or None, id_) for row, title, id_ in read_columns(table, ["title", "id"]).rows()]
    assert rows == [(2, "red shirt", "1"), (3, None, "2")]  # the header is row 1


def test_json_lines_and_parquet(tmp_path: Path) -> None:
    lines = '{"id": 7, "price": 2.5, "path": ["A", "B"]}\n{"id": 8, "price": 3.0, "path": null, "late": "x"}\n'
    table = write(tmp_path / "t.jsonl", lines)
    assert read_header(table) == ["id", "price", "path", "late"]
    assert read_columns(table, ["id", "path", "late", "price"]).rows() == [
        (1, "7", "A > B", None, "2.5"),
        (2, "8", None, "x", "3.0"),
    ]
    packed = tmp_path / "t.jsonl.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    assert read_columns(packed, ["late"]).rows() == [(1, None), (2, "x")]
    parquet = tmp_path / "t.parquet"
    pl.DataFrame({"id": [7.0, float("nan")], "n": [1, 2], "big": [1e300, 2.0]}).write_parquet(parquet)
    (row, id_, n, big), last = read_columns(parquet, ["id", "n", "big"]).rows()
    assert (row, id_, n, float(big)) == (1, "7", "1", 1e300) and last == (2, None, "2", "2.0")


@pytest.mark.parametrize(
    "title", ['5" heel', 'a "b" c', '5" and 6" and 7"', '"quoted, with comma"', '"two\nlines"', "中文，标题"]
)
def test_lone_quotes_are_read(tmp_path: Path, title: str) -> None:
    """polars refuses them. Row numbers count products, not lines."""
    table = write(tmp_path / "t.csv", f"id,title,image\n1,{title},a.jpg\n2,plain,b.jpg\n")
    frame = read_columns(table, ["id", "title", "image"])
    assert frame.rows() == [
        (2, "1", title.strip('"') if title[0] == '"' else title, "a.jpg"),
        (3, "2", "plain", "b.jpg"),
    ]


def test_empty_lines_count_as_rows(tmp_path: Path) -> None:
    for text in ("id,image\n1,a\n\n2,b\n", 'id,image\n1,a"\n\n2,b\n'):
        frame = read_columns(write(tmp_path / "t.csv", text), ["id"])
        assert frame.filter(pl.col("id").is_not_null()).rows() == [(2, "1"), (4, "2")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "id,image\n1,a\n2,b,c\n", ["row 3", "3 fields", "has 2"]),
        ("t.csv", "id,image,title\n1,a,x\n2,b\n3,,\n", ["row 3", "2 fields", "has 3"]),
        ("t.csv", "id,image,title,leaf\n1,a,red, big,x\n2,b,y\n", ["row 2", "5 fields", "has 4"]),
        ("t.csv", "id,image,title\n1,a,\n2,b,\n3,c\n", ["row 4", "2 fields", "has 3"]),
        ("t.csv", 'id,image\n1,a\n2,b"\n\n3,c,d,e\n', ["row 5", "4 fields"]),
        ("t.csv", b"id,image\n1,a\n2,\xd6\xd0.jpg\n", ["line 3", "0xd6", "UTF-8"]),
        ("t.csv", "id,image\n1,2\n".encode("utf-16"), ["UTF-16", "UTF-8"]),
        ("t.csv", b"\x89PNG\r\n\x1a\n\0\0\0", ["binary"]),
        ("t.csv", "", ["empty"]),
        ("t.csv", " \n\n", ["empty"]),
        ("t.csv", "id,image,id\n1,2,3\n", ["'id' twice"]),
        ("t.xlsx", "x", ["not a table", ".csv"]),
        ("t", "x", ["not a table", ".csv"]),
        ("t.jsonl", '{"id": 1}\n{"id": \n', ["line 2", "not JSON"]),
        ("t.jsonl", '{"id": 1}\n[1]\n', ["line 2", "object"]),
        ("t.parquet", "no parquet", ["Parquet"]),
        ("t.jsonl", '{"id": {"shop": 1}}\n', ["'id'", "Struct", "text"]),
        ("t.csv.gz", "id,image\n1,a\n", ["cannot be read", "gzip"]),
    ],
)
def test_errors_name_the_place(tmp_path: Path, name: str, text: str | bytes, words: list[str]) -> None:
    table = write(tmp_path / name, text)
    with pytest.raises(BadTable) as error:
        read_columns(table, ["id"])
    message = str(error.value)
    assert all(word in message for word in [str(table), *words]), message
    assert message.endswith(".") and "\n" not in message


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no\.csv does not exist"):
        read_header(tmp_path / "no.csv")
    with pytest.raises(BadTable, match="directory"):
        read_header(tmp_path)


def test_only_the_requested_columns_in_their_order(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "a,b,c\n1,2,3\n")
    assert read_columns(table, ["c", "a", "c"]).columns == [ROW_COLUMN, "c", "a"]
