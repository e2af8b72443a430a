from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.decompress import open_decompressed, read_bytes, zipped_table

DATA = b"id,image\n1,a.jpg\n" * 100
STORED = zipfile.ZIP_STORED


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def read(path: Path, data: bytes) -> bytes:
    path.write_bytes(data)
    with open_decompressed(path) as stream:
        return b"".join(iter(lambda: read_bytes(stream, 100, path), b""))


def test_formats(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", DATA) == DATA
    assert read(tmp_path / "t.csv.gz", gzip.compress(DATA)) == DATA
    extra = {"__MACOSX/._t.csv": b"x", ".DS_Store": b"x", "folder/": b"", "folder/t.csv": DATA}
    assert read(tmp_path / "t.zip", zipped(extra)) == DATA
    assert zipped_table(tmp_path / "t.zip") == "folder/t.csv"


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.xz"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_the_content_shows_the_compression(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    assert read(tmp_path / name, compress(DATA)) == DATA


def test_the_only_table_of_a_zip(tmp_path: Path) -> None:
    others = {"README.txt": b"x", "photos/1.jpg": b"x", "t/t.csv": DATA, "licence.pdf": b"x"}
    assert read(tmp_path / "t.zip", zipped(others)) == DATA


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.csv.gz", gzip.compress(DATA)[:-9], "cannot be read: Compressed file ended"),
        ("t.csv.gz", gzip.compress(DATA)[:12] + b"\xff" * 30, "cannot be read: .*"),
        ("t.zip", DATA, "cannot be read: File is not a zip file"),
        ("t.zip", zipped({"t.csv": DATA})[:-30], "cannot be read: File is not a zip file"),
        (
            "t.zip",
            zipped({"t.csv": DATA}, STORED).replace(b"a.jpg", b"b.jpg", 1),
            "cannot be read: Bad CRC",
        ),
        ("t.zip", zipped({}), "contains 0 files; expected one table"),
        ("t.zip", zipped({"a": DATA, "b": DATA}), "contains 2 files; expected one table: unpack it"),
        (
            "t.zip",
            zipped({"a.csv": DATA, "b.xlsx": b""}),
            r"contains 2 tables \(a.csv, b.xlsx\); expected one: u",
        ),
        ("t.csv", bz2.compress(DATA)[:-9], "cannot be read: Compressed file ended"),
        ("t.csv", lzma.compress(DATA)[:20] + b"\xff" * 30, "cannot be read: .*"),
    ],
    ids=range(10),
)
def test_damaged_files(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(BadTable, match=f"{name} {words}.*\\.$"):
        read(tmp_path / name, data)


def test_password(tmp_path: Path) -> None:
    data = bytearray(zipped({"t.csv": DATA}))
    data[6] |= 1  # the flag of encryption, in the file and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadTable, match=r"is protected by a password; unpack it and name the table\.$"):
        read(tmp_path / "t.zip", bytes(data))


def test_unknown_compression(tmp_path: Path) -> None:
    data = bytearray(zipped({"t.csv": DATA}))
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 9  # Deflate64, which Windows uses for large files
    with pytest.raises(BadTable, match=r"t\.zip cannot be read: .*compression"):
        read(tmp_path / "t.zip", bytes(data))
