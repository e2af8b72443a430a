from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables import xml_table
from prodrec.core.data.tables.records import PROBLEM_COLUMN, ROW_COLUMN
from prodrec.core.data.tables.xml_table import XmlTable, open_xml

RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>The shop</title>
<item><g:id>1</g:id><title>Red shirt &amp; belt</title><g:image_link>a.jpg</g:image_link>
<g:additional_image_link>b.jpg</g:additional_image_link><g:additional_image_link>c.jpg</g:additional_image_link></item>
<item><g:id>2</g:id><title><![CDATA[<b>Hat</b>]]></title><g:price><x>5</x> EUR</g:price></item>
<item/></channel></rss>"""


def open_text(path: Path, content: str | bytes) -> XmlTable:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_xml(path)


def read(table: XmlTable, *columns: str) -> list[tuple[int | str | None, ...]]:
    frames = [chunk.select(ROW_COLUMN, PROBLEM_COLUMN, *columns).collect() for chunk in table.chunks(columns)]
    return [row for frame in frames for row in frame.rows()]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_rss(tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_table, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(xml_table, "_CHUNK_ROWS", 2)
    table = open_text(tmp_path / "t.xml", RSS)
    assert table.header == ["id", "title", "image_link", "additional_image_link", "price"]
    assert read(table, "id", "title", "additional_image_link", "price") == [
        (1, None, "1", "Red shirt & belt", '["b.jpg", "c.jpg"]', None),
        (2, None, "2", "<b>Hat</b>", None, "5 EUR"),
        (3, None, None, None, None, None),
    ]


def test_other_feeds(tmp_path: Path) -> None:
    atom = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><link href="http://x/1"/><title>a</title></entry></feed>'
    assert read(open_text(tmp_path / "t.xml", atom), "link", "title") == [(1, None, "http://x/1", "a")]
    offers = '<yml><shop><offers><offer id="7"><picture>a.jpg</picture></offer></offers></shop></yml>'
    assert read(open_text(tmp_path / "t.xml", offers), "id", "picture") == [(1, None, "7", "a.jpg")]
    items = "<SHOP><SHOPITEM><ITEM>x</ITEM><IMGURL>a.jpg</IMGURL></SHOPITEM></SHOP>"
    assert read(open_text(tmp_path / "t.xml", items), "ITEM", "IMGURL") == [(1, None, "x", "a.jpg")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "iso-8859-1", "cp1252", "utf-16", "gb18030", "shift_jis"])
def test_encodings(tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of several bytes too, which the parser itself does not know."""
    title = {"gb18030": "红色衬衫", "shift_jis": "赤いシャツ"}.get(encoding, "café")
    text = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?><r><item><t>{title}</t></item></r>'
    for chunk in (3, 1 << 18):
        monkeypatch.setattr(xml_table, "_CHUNK_BYTES", max(chunk, 60))
        assert read(open_text(tmp_path / "t.xml", text.encode(encoding)), "t") == [(1, None, title)]


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    data = "<r><item><t>é</t></item><item><t>?</t></item><item><t>ü</t></item></r>".encode().replace(b"?", b"\xff")
    assert read(open_text(tmp_path / "t.xml", data), "t") == [
        (1, None, "é"),
        (2, "product 2: bytes that are not text in the encoding of the file", None),
        (3, None, "ü"),
    ]


def test_what_shops_write_that_is_not_xml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "<r><item><t>caf&eacute;&nbsp;\x0b\x00noir &lt;5&gt;</t></item></r>"
    for chunk in (1, 1 << 18):
        monkeypatch.setattr(xml_table, "_CHUNK_BYTES", chunk)
        assert read(open_text(tmp_path / "t.xml", text), "t") == [(1, None, "café\xa0noir <5>")]


def test_entity_bombs_are_refused(tmp_path: Path) -> None:
    """And the remedy that the message names works."""
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    doctype = f'<!DOCTYPE r [<!ENTITY e0 "ha">{levels}]>'
    start = time.monotonic()
    with pytest.raises(BadTable, match=r"t\.xml declares entities, which are not read; remove its DOCTYPE\.$"):
        open_text(tmp_path / "t.xml", f"{doctype}<r><item><t>&e11;</t></item></r>")
    assert time.monotonic() - start < 5
    assert open_text(tmp_path / "t.xml", "<r><item><t>1</t></item></r>").header == ["t"]
    assert open_text(tmp_path / "t.xml", "<!DOCTYPE r><r><item><t>1</t></item></r>").header == ["t"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<r><item><t>1</t></item>", "is not readable as XML: no element found: line 1, column 24"),
        ("<r>\n<item><t>1</x></item></r>", "is not readable as XML: mismatched tag: line 2, column 12"),
        ("no xml", "is not readable as XML: syntax error: line 1"),
        ("", "is not readable as XML: no element found"),
        ("<r><line><t>1</t></line></r>", "contains no products; expected one of the elements <item>, <entry>"),
        (gzip.compress(RSS.encode())[:-20], "cannot be read: Compressed file ended"),
    ],
)
def test_errors(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(BadTable, match=rf"t\.xml {words}"):
        open_text(tmp_path / "t.xml", text)


def test_compressed_feeds(tmp_path: Path) -> None:
    data = gzip.compress(RSS.encode())
    assert len(read(open_text(tmp_path / "t.xml.gz", data), "id")) == 3
    with pytest.raises(BadTable, match=r"t\.xml\.gz cannot be read: .*; copy or download it again\.$"):
        open_text(tmp_path / "t.xml.gz", data[:-20])


def test_columns_of_the_first_products(tmp_path: Path) -> None:
    (tmp_path / "t.xml").write_text(RSS)
    assert open_xml(tmp_path / "t.xml", 1).header == ["id", "title", "image_link", "additional_image_link"]


def test_faults_of_real_feeds_are_mended(tmp_path: Path) -> None:
    items = "<t>Rock & Roll &eacute; &#8;&#xD800;&#65;&unknown;</t><u><![CDATA[a?b=1&c=2 &lt;]]></u>" + "x" * 40
    table = open_text(tmp_path / "t.xml", f'\n\n<?xml version="1.0" encoding="utf-16"?><r><item>{items}</item></r>')
    assert read(table, "t", "u") == [(1, None, "Rock & Roll é A&unknown;", "a?b=1&c=2 &lt;")]


@pytest.mark.parametrize("shift", range(0, 40, 3))
def test_marks_are_read_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    monkeypatch.setattr(xml_table, "_CHUNK_BYTES", 53)
    texts = "".join(f"<item><t><![CDATA[{'a' * shift}&amp; {i}]]> &amp; b</t></item>" for i in range(9))
    table = open_text(tmp_path / "t.xml", f"<r>{texts}</r>")
    assert read(table, "t") == [(i + 1, None, f"{'a' * shift}&amp; {i} & b") for i in range(9)]


def test_nested_elements_are_several_values(tmp_path: Path) -> None:
    nested = "<images><image>1.jpg</image><image> 2.jpg </image></images><d><p>Warm <b>boot</b> of felt</p></d>"
    table = open_text(tmp_path / "t.xml", f"<rows><row>{nested}</row></rows>")
    assert read(table, "images", "d") == [(1, None, '["1.jpg", "2.jpg"]', "Warm boot of felt")]


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="UTF-8"?>'])
def test_an_encoding_that_is_not_declared_is_guessed(tmp_path: Path, declaration: str) -> None:
    items = "".join(f"<item><t>Größe für Männer {i}</t></item>" for i in range(9))
    table = open_text(tmp_path / "t.xml", f"{declaration}<r>{items}</r>".encode("cp1252"))
    assert read(table, "t")[8] == (9, None, "Größe für Männer 8")
    assert table.notes == [f"{tmp_path / 't.xml'} is not UTF-8; it is read as CP1252"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_in_one_line_without_a_mark(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="UTF-16"?><r>{"<item><t>红色连衣裙</t></item>" * 9}</r>'
    assert read(open_text(tmp_path / "t.xml", text.encode(encoding)), "t")[8] == (9, None, "红色连衣裙")
