"""Names in a zip file that are not marked as UTF-8, as macOS and Windows write them."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.data.photos.folder_photos import find_folder_photos
from prodrec.core.data.photos.name_matching import match_names
from prodrec.core.data.photos.sources import PhotoSource, open_photos
from prodrec.core.data.photos.zip_names import ENCODINGS

NAMES = {
    "utf-8": ["café-{}.jpg", "女装/连衣裙{}.jpg", "Schürze/größe {}.jpg"],
    "gb18030": ["连衣裙-{}.jpg", "女装/衬衫/红色{}.jpg", "鞋子{}.jpg"],
    "cp932": ["シャツ/赤い{}.jpg", "表-{}.jpg", "ワンピース{}.jpg"],  # 表 ends in the byte of a backslash
    "cp950": ["連衣裙-{}.jpg", "女裝/襯衫{}.jpg", "功能-{}.jpg"],
    "cp949": ["원피스/빨강{}.jpg", "신발-{}.jpg"],
    "cp437": ["café-{}.jpg", "Schürze/größe{}.jpg"],
    "cp850": ["calção-{}.jpg", "maçã/botão{}.jpg"],
    "cp1252": ["café-{}.jpg", "Schürze/größe{}.jpg"],
    "cp1251": ["платье/красное{}.jpg", "обувь{}.jpg"],
    "cp866": ["платье/красное{}.jpg", "обувь{}.jpg"],
    "cp1250": ["łódź-{}.jpg", "košile/červená{}.jpg"],
    "cp874": ["เสื้อ-{}.jpg"],
}


def write_unflagged(
    path: Path, names: list[bytes], extra: dict[bytes, bytes] | None = None, flagged: Collection[bytes] = ()
) -> Path:
    """A zip file with the given bytes as names and contents; only the names in `flagged` are marked as UTF-8."""
    with path.open("wb") as stream:
        directory = b""
        for name in names:
            more = (extra or {}).get(name, b"")
            fields = (
                20,
                0x800 * (name in flagged),
                0,
                0,
                0,
                zlib.crc32(name),
                len(name),
                len(name),
                len(name),
                len(more),
            )
            entry = struct.pack("<HHHHHIIIHH", *fields)
            offset = stream.tell()
            stream.write(b"PK\x03\x04" + entry + name + more + name)
            directory += b"PK\x01\x02" + struct.pack("<H", 20) + entry + struct.pack("<HHHII", 0, 0, 0, 0, offset)
            directory += name + more
        start = stream.tell()
        end = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), start, 0)
        stream.write(directory + b"PK\x05\x06" + end)
    return path


def drawn(encoding: str, count: int) -> list[str]:
    return sorted(name.format(i) for i in range(count) for name in NAMES[encoding])


def matched(source: PhotoSource, names: list[str]) -> list[bytes]:
    """The bytes of the photo of every name."""
    matches = match_names(source, pl.Series(names))
    assert (matches.photo_W >= 0).all()
    return [location.read() for location in source.locations(matches.photo_W)]


@pytest.mark.parametrize("encoding", list(NAMES))
@pytest.mark.parametrize("count", [1, 12])
def test_a_table_decides_the_encoding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, count: int
) -> None:
    names = drawn(encoding, count)
    source = open_photos(write_unflagged(tmp_path / "p.zip", [n.encode(encoding) for n in names]), unpack_into=None)
    assert matched(source, names) == [name.encode(encoding) for name in names]
    assert f"are not marked as UTF-8 · read as {ENCODINGS[encoding]}" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", list(NAMES))
@pytest.mark.parametrize("count", [3, 12])
def test_without_a_table_the_most_plausible_encoding_is_taken(tmp_path: Path, encoding: str, count: int) -> None:
    names = drawn(encoding, count)
    source = open_photos(write_unflagged(tmp_path / "p.zip", [n.encode(encoding) for n in names]), unpack_into=None)
    assert find_folder_photos(source).names == names
    assert matched(source, names) == [name.encode(encoding) for name in names]


def test_chinese_names_that_happen_to_be_valid_utf_8(tmp_path: Path) -> None:
    raw = "小模.jpg".encode("gb18030")
    assert raw.decode() != "小模.jpg"
    source = open_photos(write_unflagged(tmp_path / "p.zip", [raw]), unpack_into=None)
    assert matched(source, ["小模.jpg"]) == [raw]


def test_decomposed_names_of_a_mac_in_folders_and_addresses(tmp_path: Path) -> None:
    raw = unicodedata.normalize("NFD", "photos/é.jpg").encode()
    source = open_photos(write_unflagged(tmp_path / "p.zip", [raw, b"photos/plain.jpg"]), unpack_into=None)
    assert matched(source, ["é.jpg", "plain.jpg", "https://h.example/%C3%A9.jpg"]) == [raw, b"photos/plain.jpg", raw]


def test_flagged_and_unflagged_names_in_one_archive(tmp_path: Path) -> None:
    raw, flagged = ["鞋子.jpg".encode("gb18030"), b"a.jpg"], "连衣裙.jpg".encode()
    path = write_unflagged(tmp_path / "p.zip", [*raw, flagged], flagged={flagged})
    source = open_photos(path, unpack_into=None)
    assert matched(source, ["鞋子.jpg", "a.jpg", "连衣裙.jpg"]) == [*raw, flagged]


def test_the_unicode_name_in_an_extra_field_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "连衣裙.jpg"
    field = b"\x01" + struct.pack("<I", zlib.crc32(b"_.jpg\x80")) + name.encode()
    extra = struct.pack("<HH", 0x5455, 1) + b"\0" + struct.pack("<HH", 0x7075, len(field)) + field
    source = open_photos(write_unflagged(tmp_path / "p.zip", [b"_.jpg\x80"], {b"_.jpg\x80": extra}), unpack_into=None)
    assert source.names_P == [name]
    match_names(source, pl.Series([name]))
    assert "marked" not in capsys.readouterr().err


def test_a_stale_name_in_an_extra_field_is_ignored(tmp_path: Path) -> None:
    field = b"\x01" + struct.pack("<I", 1) + b"old.jpg"
    raw = "é.jpg".encode()
    path = write_unflagged(tmp_path / "p.zip", [raw], {raw: struct.pack("<HH", 0x7075, len(field)) + field})
    assert open_photos(path, unpack_into=None).names_P == ["é.jpg"]


def test_ascii_names_need_no_encoding(tmp_path: Path) -> None:
    source = open_photos(write_unflagged(tmp_path / "p.zip", [b"a.jpg", b"x\\b.jpg", b"x\\"]), unpack_into=None)
    assert source.unflagged is None and np.all(source.unreadable_P == 0)
