"""Product feeds in XML, such as those for Google Merchant: RSS `<item>` or Atom `<entry>` elements.

A column is the name of a child element without its namespace, or of an attribute of the product. Elements that repeat
become a JSON list. Control characters, which are not allowed in XML, are dropped, and entities of HTML are replaced.
"""

from __future__ import annotations

import codecs
import html.entities
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.decompress import open_decompressed, read_bytes
from prodrec.core.data.tables.encodings import (
    MARK_UNDECODABLE,
    guess_encoding,
    is_wide,
    marked_encoding,
    named_encoding,
    wide_encoding,
)
from prodrec.core.data.tables.records import frame_of_rows, number_rows

if TYPE_CHECKING:
    import polars as pl

PRODUCT_ELEMENTS = ("item", "entry", "product", "offer", "shopitem", "row", "record")
"""Names of the element of one product in any case: RSS, Atom, and other usual ones."""

_CHUNK_ROWS = 20_000
_CHUNK_BYTES = 1 << 18
_UNDECODABLE = "\U0010fffd"
"""A character for private use that stands for bytes that are not text."""

_DECLARED_ENCODING = re.compile(rb"""<\?xml[^>]*encoding=["']([\w.-]+)""")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ENTITY = re.compile("&(?:([A-Za-z][A-Za-z0-9]*);|#([0-9]{1,7});|#x([0-9A-Fa-f]{1,6});)?")
_ENTITIES = {name: chr(code) for name, code in html.entities.name2codepoint.items()}
_CDATA_MARK = re.compile(r"(<!\[CDATA\[|\]\]>)")
_CUT = re.compile(r"[&<\]]")
"""Where an entity or a mark of a CDATA section begins; it may continue in the next chunk."""

_XML_ENTITIES = ("amp", "lt", "gt", "quot", "apos")
_MAX_ENTITY = 32
"""Characters of the longest entity, and more."""


@dataclass
class XmlTable:
    """An open XML feed in a text encoding; see `records.Table`. Row i is the i-th product."""

    path: Path
    encoding: str
    header: list[str]
    notes: list[str] = field(default_factory=list)

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`. Raise BadTable where the file is not XML."""
        start, products = 1, _products(self.path, self.encoding)
        while chunk := list(itertools.islice(products, _CHUNK_ROWS)):
            problems = {
                i: f"product {start + i}: bytes that are not text in the encoding of the file"
                for i, product in enumerate(chunk)
                if any(_UNDECODABLE in text for texts in product.values() for text in texts)
            }
            values = {
                name: [None if i in problems else _as_text(product.get(name)) for i, product in enumerate(chunk)]
                for name in columns
            }
            yield number_rows(frame_of_rows(values, len(chunk), problems), start).lazy()
            start += len(chunk)


def open_xml(path: Path, max_products: int | None = None) -> XmlTable:
    """Read the column names of a feed from its first `max_products` products, or from all.

    Raise BadTable if it is not XML or contains no product.
    """
    with open_decompressed(path) as stream:
        encoding, note = _find_encoding(read_bytes(stream, _CHUNK_BYTES, path))
    products = itertools.islice(_products(path, encoding), max_products)
    names = dict.fromkeys(name for product in products for name in product)
    if not names:
        expected = ", ".join(f"<{name}>" for name in PRODUCT_ELEMENTS)
        raise BadTable(f"{path} contains no products; expected one of the elements {expected} for each.")
    return XmlTable(path, encoding, list(names), [f"{path} {note}"] if note else [])


def _products(path: Path, encoding: str) -> Iterator[dict[str, list[str]]]:
    """Yield the texts of every product by element name."""
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(("start", "end"))
    opened: list[ElementTree.Element] = []
    product: ElementTree.Element | None = None
    try:
        for text in _read_text(path, encoding):
            parser.feed(text)
            for event, element in cast("Iterator[tuple[str, ElementTree.Element]]", parser.read_events()):
                if event == "start":
                    opened.append(element)
                    if product is None and _local_name(element.tag).lower() in PRODUCT_ELEMENTS:
                        product = element
                    continue
                opened.pop()
                if element is product:
                    yield _texts(element)
                    product = None
                if opened and product is None:
                    opened[-1].remove(element)  # free its memory
        parser.close()
    except ElementTree.ParseError as error:
        raise BadTable(f"{path} is not readable as XML: {error}.") from error


def _read_text(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of the file for the parser. Raise BadTable if it declares entities, which may be of any size."""
    rest, is_first, in_cdata = "", True, False
    decoder = codecs.getincrementaldecoder(encoding)(MARK_UNDECODABLE)
    with open_decompressed(path) as stream:
        while True:
            data = read_bytes(stream, _CHUNK_BYTES, path)
            text = decoder.decode(data, final=not data).replace("\udfff", _UNDECODABLE)
            if is_first and "<!ENTITY" in text:
                raise BadTable(f"{path} declares entities, which are not read; remove its DOCTYPE.")
            text, is_first = rest + (text.lstrip("\ufeff \t\r\n") if is_first else text), False
            cut = _CUT.search(text, max(0, len(text) - _MAX_ENTITY)) if data else None
            text, rest = (text, "") if cut is None else (text[: cut.start()], text[cut.start() :])
            mended, in_cdata = _mend(_NOT_XML.sub("", text), in_cdata=in_cdata)
            yield mended
            if not data:
                return


def _find_encoding(beginning: bytes) -> tuple[str, str | None]:
    """Return the encoding of a file, and a note for the user if it is not the declared one.

    A byte order mark and the places of NUL bytes are believed first, then the declaration. If that is UTF-8, or none,
    and most of the text is not UTF-8, the encoding is guessed.
    """
    shown = marked_encoding(beginning) or wide_encoding(beginning[:200])
    if shown:
        return shown, None
    match = _DECLARED_ENCODING.match(beginning[:200].lstrip())
    try:
        declared = named_encoding(match[1].decode()) if match else "utf-8"
    except LookupError:
        declared = "utf-8"
    if declared != "utf-8" and not is_wide(declared):
        return declared, None
    guess = guess_encoding(beginning.replace(b"<", b"\n"), is_whole=False)  # a feed may have no line ends
    return guess, None if guess == "utf-8" else f"is not UTF-8; it is read as {guess.upper()}"


def _mend(text: str, *, in_cdata: bool) -> tuple[str, bool]:
    """Return text in which every `&` begins an entity of XML, and whether it ends in a CDATA section.

    In CDATA sections a `&` is text.
    """
    parts = _CDATA_MARK.split(text)
    for i, part in enumerate(parts):
        if _CDATA_MARK.fullmatch(part):
            in_cdata = part != "]]>"
        elif not in_cdata:
            parts[i] = _ENTITY.sub(_replace_entity, part)
    return "".join(parts), in_cdata


def _replace_entity(match: re.Match[str]) -> str:
    """Return the character of an entity that HTML has and XML does not; a `&` that begins none is text."""
    name, decimal, hexadecimal = match.groups()
    if name:
        return match[0] if name in _XML_ENTITIES else _ENTITIES.get(name, f"&amp;{name};")
    if not (decimal or hexadecimal):
        return "&amp;"
    code = int(decimal) if decimal else int(hexadecimal, 16)
    is_character = code <= sys.maxunicode and not 0xD800 <= code < 0xE000 and not _NOT_XML.match(chr(code))
    return match[0] if is_character else ""


def _texts(element: ElementTree.Element) -> dict[str, list[str]]:
    texts = {_local_name(name): [value] for name, value in element.attrib.items() if value.strip()}
    for child in element:
        values = list(_values(child)) or [child.get("href", "")]
        if values[0]:
            texts.setdefault(_local_name(child.tag), []).extend(values)
    return texts


def _values(element: ElementTree.Element) -> Iterator[str]:
    """Yield the text of an element, or those of its children if it has no text between them."""
    if len(element) and not "".join([element.text or "", *(child.tail or "" for child in element)]).strip():
        for child in element:
            yield from _values(child)
    elif text := "".join(element.itertext()).strip():
        yield text


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _as_text(texts: list[str] | None) -> str | None:
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False)
