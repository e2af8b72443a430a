from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption, BadTable
from prodrec.core.data.tables import text_file
from prodrec.core.data.tables.text_file import LineBlock, open_text


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read_lines(path: Path, encoding: str | None = None) -> tuple[list[str], dict[int, str]]:
    """Return all lines, and by number those that are not text."""
    lines, undecodable = list[str](), dict[int, str]()
    for block in open_text(path, encoding)[0].blocks():
        assert block.first_line == len(lines) + 1
        undecodable |= {block.first_line + i: reason for i, reason in block.undecodable.items()}
        lines += block.lines()
    return lines, undecodable


def test_parts_of_a_block() -> None:
    rng = random.Random(0)
    for _ in range(300):
        data = "".join(rng.choices("ab\n", k=rng.randrange(12))).encode()
        block = LineBlock(3, data, {1: "bad"})
        lines = block.lines()
        assert len(block) == len(lines)
        for offset in range(len(lines) + 2):
            rest = block.from_line(offset)
            assert rest.lines() == lines[offset:] and rest.first_line == 3 + offset
            assert rest.undecodable == ({1 - offset: "bad"} if offset < 2 else {})


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 5, 1 << 20])
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"a\r\rb\rc", ["a", "", "b", "c"]),
        (b"a\rb\r\nc\rd\re", ["a", "b", "c", "d", "e"]),
        (b"a\rb\nc\nd", ["a b", "c", "d"]),
        (b"\n\na\n\n", ["", "", "a", ""]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"a\0b\nc", ["ab", "c"]),
        ("é\n中\n".encode("utf-16"), ["é", "中"]),
        ("id\r\né".encode("utf-16"), ["id", "é"]),
        ("id\ré\r".encode("utf-16"), ["id", "é"]),
        ("\ufeffid\né".encode("utf-16-be"), ["id", "é"]),
        ("id,image\n1,a.jpg\n".encode("utf-16-le"), ["id,image", "1,a.jpg"]),
        ("id,image\n1,a.jpg\n".encode("utf-16-be"), ["id,image", "1,a.jpg"]),
        ("é\n中".encode("utf-32"), ["é", "中"]),
    ],
)
def test_lines(
    tmp_path: Path, data: bytes, lines: list[str], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if data == b"a\0b\nc":
        data = data.replace(b"a", b"a" * 40)
        lines = ["a" * 40 + "b", "c"]
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block_bytes)
    assert read_lines(write(tmp_path / "t.csv", data)) == (lines, {})
    packed = write(tmp_path / "t.csv.gz", gzip.compress(data))
    assert read_lines(packed) == (lines, {})


@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
def test_lines_that_are_not_text(tmp_path: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block_bytes)
    utf8 = "é\nü\nö\n".encode() + b"\xd6\xd0\nok"
    assert read_lines(write(tmp_path / "t.csv", utf8)) == (
        ["é", "ü", "ö", "\ufffd\ufffd", "ok"],
        {4: "byte 0xd6 is not UTF-8 text"},
    )
    utf16 = "é\nü\n".encode("utf-16-le") + b"\x00\xd8" + "\nok\n".encode("utf-16-le") + b"x"
    lines, undecodable = read_lines(write(tmp_path / "t.csv", utf16), "utf-16-le")
    assert lines[:2] == ["é", "ü"] and lines[3] == "ok" and len(lines) == 5
    assert undecodable == dict.fromkeys((3, 5), "a character is not UTF-16-LE text")


def test_named_encoding(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,title\n1,中文\n".encode("gb18030"))
    assert read_lines(table, "GB18030")[0][1] == "1,中文"
    assert read_lines(write(tmp_path / "u.csv", b"\xef\xbb\xbfid\n"), "utf-8-sig")[0] == ["id"]
    for name in ("klingon", "base64", "rot13", "idna", "unicode_escape"):
        with pytest.raises(BadOption, match=f"--encoding {name} is unknown; use a name such as utf-8"):
            open_text(table, name)


def test_remedy_for_an_unknown_encoding(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "id,title\n1,caf\xe9\n".encode("cp1252"))
    for name in ("utf-8", "gb18030", "cp1252"):  # the names of the message
        assert read_lines(table, name)[0][0] == "id,title"


def test_guesses_are_noted(tmp_path: Path) -> None:
    text = "id,title\n" + "".join(f"{i},红色衬衫 修身 夏季 {i}\n" for i in range(30))
    file, note = open_text(write(tmp_path / "t.csv", text.encode("gb18030")))
    assert file.encoding == "gb18030" and note is not None and "GB18030 (--encoding names another one)" in note
    assert "".join(line + "\n" for block in file.blocks() for line in block.lines()) == text
    file, note = open_text(write(tmp_path / "t.csv", "id,image\n1,a\n".encode("utf-16-le")))
    assert file.encoding == "utf-16-le" and note is not None
    assert open_text(write(tmp_path / "t.csv", text.encode()))[1] is None
    assert open_text(write(tmp_path / "t.csv", text.encode("utf-16")))[1] is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty; expected a table with a header and rows."),
        (b" \n\n\t\r\n", "is empty; expected"),
        (b"\xef\xbb\xbf\n", "is empty; expected"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "contains binary data; expected "),
        (bytes(range(256)) * 300, "contains binary data; expected "),
        (b"PK\x03\x04" + bytes(99), "a zip archive or an Excel workbook; expected a text table: give it a name with"),
        (b"PAR1" + bytes(99), r"a Parquet table.* with \.parquet at the end\."),
    ],
)
def test_what_is_no_text(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(BadTable, match=f"t\\.csv.*{words}"):
        open_text(write(tmp_path / "t.csv", data))


def test_stray_nul_bytes_are_text(tmp_path: Path) -> None:
    data = b"id,image,title\n" + b"".join(b"%d,%d.jpg,red shirt\0\n" % (i, i) for i in range(50))
    assert read_lines(write(tmp_path / "t.csv", data))[0][1] == "0,0.jpg,red shirt"


@pytest.mark.parametrize("length", [200_000, 20_000_000])
def test_long_lines(tmp_path: Path, length: int) -> None:
    lines, _ = read_lines(write(tmp_path / "t.csv", b"id\n" + b"x" * length + b"\n1\n"))
    assert [len(line) for line in lines] == [2, length, 1]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_mark(tmp_path: Path, encoding: str) -> None:
    """In Chinese text few bytes are NUL. The name without the order of the bytes is enough."""
    text = "编号,标题\n" + "".join(f"{i},红色连衣裙夏季新款女装长裙红色连衣裙夏季新款女装长裙😀\n" for i in range(30))
    path = write(tmp_path / "t.csv", text.encode(encoding))
    for name in (None, "utf-16", encoding):
        assert "\n".join(read_lines(path, name)[0]) + "\n" == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be", "cp037"])
def test_an_encoding_that_the_file_has_not(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "t.csv", "id,title\n1,café\n".encode())
    with pytest.raises(BadOption, match=rf"^--encoding {encoding}.*t\.csv contains no lines of such text; omit it"):
        open_text(path, encoding)
    assert read_lines(path)[0] == ["id,title", "1,café"]  # omitted


@pytest.mark.parametrize("line", [b"x" * 40 + b"\0\n", b"x" * 41 + b"\0\n"])
def test_nul_bytes_at_the_ends_of_lines(tmp_path: Path, line: bytes) -> None:
    assert read_lines(write(tmp_path / "t.csv", line * 40))[0] == [line[:-2].decode()] * 40


def test_several_byte_order_marks(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path / "t.csv", "\ufeff\ufeffid,title\n".encode()))[0] == ["id,title"]
    assert read_lines(write(tmp_path / "t.csv", "\ufeffid,title\n".encode("utf-16")))[0] == ["id,title"]


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(text_file, "MAX_LINE_BYTES", 1 << 20)
    path = tmp_path / "bomb.csv"
    with gzip.open(path, "wb") as stream:
        stream.write(b"id,image\n1,a.jpg\n" + b"x" * (3 << 20))
    table, _ = open_text(path)
    with pytest.raises(BadTable, match=r"bomb\.csv, line 3: it does not end within 1 MiB"):
        list(table.blocks())
