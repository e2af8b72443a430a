from __future__ import annotations

import pytest

from prodrec.core.data.tables.encodings import (
    guess_encoding,
    is_binary,
    is_wide,
    marked_encoding,
    named_encoding,
    wide_encoding,
)

TITLES = [
    ("gb18030", "红色修身衬衫 夏季新款 纯棉短袖 男士上衣 宽松休闲"),
    ("gb18030", "中文，标题"),
    ("big5", "紅色修身襯衫 夏季新款 純棉短袖 男士上衣"),
    ("cp949", "빨간 셔츠 남성 여름 반팔 면 티셔츠 캐주얼"),
    ("cp932", "赤いシャツ メンズ 夏 半袖 綿 カジュアル ゆったり"),
    ("euc_jp", "赤いシャツ メンズ 夏 半袖 綿 カジュアル ゆったり"),
    ("cp1251", "Красная рубашка мужская летняя с коротким рукавом из хлопка"),
    ("koi8-r", "Красная рубашка мужская летняя с коротким рукавом из хлопка"),
    ("koi8-r", "Женские сапоги"),
    ("mac-roman", "Chaussures d'été élégantes à la plage"),
    ("mac-roman", "Größe für Männer"),
    ("cp1253", "Κόκκινο πουκάμισο ανδρικό καλοκαιρινό"),
    ("cp874", "เสื้อเชิ้ตสีแดง ผู้ชาย แขนสั้น"),
    ("cp1250", "Košile pánská červená s dlouhým rukávem"),
    ("cp1254", "Kırmızı gömlek erkek yazlık kısa kollu şık"),
    *(("cp1252", title) for title in ("café", "Camisa de niño, algodón", "Größe: groß", "Señal", "Crème brûlée")),
    *(("cp1252", title) for title in ("weiß – 5€", "São Paulo maçã", "naïve façade", "pièce d'été, déjà portée")),
]


@pytest.mark.parametrize(("encoding", "title"), TITLES)
def test_guesses(encoding: str, title: str) -> None:
    for rows in (1, 40):
        text = "id,title,leaf\n" + "".join(f"{i},{title} {i},x\n" for i in range(rows))
        data = text.encode(encoding)
        assert data.decode(guess_encoding(data, is_whole=True)) == text


@pytest.mark.parametrize(
    ("sample", "is_whole"),
    [
        (b"id,title\n1,a\n", True),
        ("é\n".encode(), True),
        ("é\nü\n".encode() + b"\xff\n", True),
        ("é\nü".encode()[:-1], False),  # cut inside a character
        ("é\rü\rö\rü".encode()[:-1], False),
    ],
)
def test_utf8(sample: bytes, is_whole: bool) -> None:
    assert guess_encoding(sample, is_whole=is_whole) == "utf-8"


def test_the_only_line_beyond_ascii_may_be_the_last() -> None:
    assert guess_encoding(b"id,title\n1,caf\xe9 noir", is_whole=True) != "utf-8"


def test_names() -> None:
    assert [named_encoding(name) for name in ("UTF8", "utf-8-sig", "Latin-1")] == ["utf-8", "utf-8", "iso8859-1"]
    for name in ("klingon", "hex", "punycode"):
        with pytest.raises(LookupError):
            named_encoding(name)


def test_marks_and_wide_text() -> None:
    for name in ("utf-16", "utf-32"):
        assert marked_encoding("id".encode(name)) == name
    assert marked_encoding("\ufeffid".encode()) == "utf-8" and marked_encoding(b"id") is None
    for name in ("utf-16-le", "utf-16-be"):
        assert wide_encoding("id,title\n1,é".encode(name)) == name and is_wide(name)
    assert wide_encoding(b"id,title\n") is None and wide_encoding(bytes(50)) is None
    assert not is_wide("gb18030") and is_wide("utf-16")


def test_binary_data() -> None:
    assert is_binary(bytes(range(256))) and is_binary(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert not is_binary("id,title\n1,中文\t\n".encode("gb18030") * 9) and not is_binary(b"x" * 50 + b"\0")
