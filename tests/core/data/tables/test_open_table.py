from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import polars as pl
import pytest

from prodrec.core.base.errors import BadOption, BadTable, NotFound
from prodrec.core.data.tables.open_table import open_table
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN

CSV = b"id,image\n1,a.jpg\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
JSON_LINES = b'{"id": 1, "image": "a.jpg"}\n'


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"id": [1], "image": ["a.jpg"]}).write_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "first_row"),
    [
        ("t.csv", CSV, 2),
        ("t.CSV", CSV, 2),
        ("t.txt", CSV.replace(b",", b"\t"), 2),
        ("t.tsv", CSV.replace(b",", b"\t"), 2),
        ("t.csv.gz", gzip.compress(CSV), 2),
        ("t.csv.zip", zipped("t.csv", CSV), 2),
        ("t.csv.zip", zipped("export", CSV), 2),
        ("t.csv.zip", zipped("t.jsonl", JSON_LINES), 1),
        ("t.zip", zipped("t.CSV", CSV), 2),
        ("t.v2.zip", zipped("t.jsonl", JSON_LINES), 1),
        ("t.jsonl", JSON_LINES, 1),
        ("t.ndjson.gz", gzip.compress(JSON_LINES), 1),
        ("t.json", b"[" + JSON_LINES + b"]", 1),
        ("t.json", JSON_LINES, 1),
        ("t.xml", b"<r><item><id>1</id><image>a.jpg</image></item></r>", 1),
        ("t.xml.zip", zipped("t.xml", b"<r><item><id>1</id><image>a.jpg</image></item></r>"), 1),
        ("t.parquet", parquet(), 1),
        ("t.csv", b"\xef\xbb\xbf[\n" + JSON_LINES + b"]", 1),
        ("t.txt", JSON_LINES, 1),
        ("t.tsv.gz", b"{'id': 1, 'image': 'a.jpg'}", 1),
        ("t.csv", b"<?xml version='1.0'?><r><item><id>1</id><image>a.jpg</image></item></r>", 1),
    ],
    ids=range(21),
)
def test_formats(tmp_path: Path, name: str, data: bytes, first_row: int) -> None:
    """All of them give the same row."""
    (tmp_path / name).write_bytes(data)
    table = open_table(tmp_path / name)
    assert table.header == ["id", "image"] and table.notes == []
    (chunk,) = table.chunks(["image", "id"])
    frame = chunk.select(ROW_COLUMN, PROBLEM_COLUMN, "image", "id").collect()
    assert frame.rows() == [(first_row, None, "a.jpg", "1")]
    assert frame.dtypes == [pl.Int64, pl.String, pl.String, pl.String]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t", b"x", "is not a table that prodrec reads; expected CSV"),
        ("t.docx", b"x", "is not a table that prodrec reads; expected CSV"),
        ("t.zip", zipped("t.docx", b"x"), "contains t.docx, which is not a table that prodrec reads"),
        ("t.csv.zip", zipped("t.csv.zip", zipped("t.csv", CSV)), "contains t.csv.zip, which is compressed itself"),
        ("t.csv.zip", zipped("t.csv.gz", gzip.compress(CSV)), "contains t.csv.gz, which is compressed itself"),
        ("t.parquet.gz", gzip.compress(parquet()), "is a compressed Parquet file; unpack it first."),
        ("t.zip", zipped("t.xlsx", b"PK"), "is a compressed Excel file; unpack it first."),
        ("t.csv", b"", "is empty; expected"),
        ("t.csv", b"\n<!DOCTYPE html><html>Log in</html>", "contains a web page, not a table; download"),
        ("t.json", b"<HTML><body>Log in</body></HTML>", "contains a web page, not a table; download"),
        ("t.csv", LFS, "is a pointer of Git LFS, not the table itself; run"),
        ("t.parquet", LFS, "is a pointer of Git LFS, not the table itself; run"),
        ("t.csv.tar.gz", gzip.compress(CSV), "is an archive; unpack it and name the table"),
        ("t.csv.zst", CSV, "is an archive; unpack it and name the table"),
    ],
    ids=range(14),
)
def test_what_is_no_table(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadTable) as error:
        open_table(path)
    message = str(error.value)
    assert message.startswith(f"{path} {words}") and message.endswith(".") and "\n" not in message


def test_unpacking_what_is_compressed_twice(tmp_path: Path) -> None:
    """The remedy of the message."""
    path = tmp_path / "t.csv.zip"
    path.write_bytes(zipped("u.csv.zip", zipped("t.csv", CSV)))
    with pytest.raises(BadTable, match="unpack it"):
        open_table(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    assert open_table(tmp_path / "u.csv.zip").header == ["id", "image"]


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no\.csv does not exist"):
        open_table(tmp_path / "no.csv")
    with pytest.raises(BadTable, match="is a directory, not a table"):
        open_table(tmp_path)


def test_the_remedy_for_a_directory_of_shards(tmp_path: Path) -> None:
    for name in ("train-0.parquet", "train-1.parquet"):
        (tmp_path / name).write_bytes(parquet())
    (tmp_path / "README.md").touch()
    with pytest.raises(BadTable, match=r"is a directory, not a table; name the tables in it, as in .*\*\.parquet\.$"):
        open_table(tmp_path)
    assert [open_table(path).header for path in tmp_path.glob("*.parquet")] == [["id", "image"]] * 2


def test_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("id,title\n1,café\n".encode("cp1252"))
    (chunk,) = open_table(path, "cp1252").chunks(["title"])
    assert chunk.collect()["title"].to_list() == ["café"]
    guessed = open_table(path)
    assert len(guessed.notes) == 1 and "--encoding names another one" in guessed.notes[0]
    (tmp_path / "t.parquet").write_bytes(parquet())
    with pytest.raises(BadOption, match=r"--encoding cp1252 is about text tables, and .*; omit it\.$"):
        open_table(tmp_path / "t.parquet", "cp1252")
    assert open_table(tmp_path / "t.parquet").header == ["id", "image"]  # omitted
