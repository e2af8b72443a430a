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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.decompress import open_decompressed, read_bytes
from prodrec.core.data.tables.encodings import MARK_UNDECODABLE, marked_encoding, named_encoding, wide_encoding
from prodrec.core.data.tables.records import frame_of_rows, number_rows

if TYPE_CHECKING:
    import polars as pl

PRODUCT_ELEMENTS = ("item", "entry", "product", "offer", "shopitem")
"""Names of the element of one product in any case: RSS, Atom, and other usual ones."""

_CHUNK_ROWS = 20_000
_CHUNK_BYTES = 1 << 18
_UNDECODABLE = "\U0010fffd"
"""A character for private use that stands for bytes that are not text."""

_DECLARED_ENCODING = re.compile(rb"""<\?xml[^>]*encoding=["']([\w.-]+)""")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ENTITY = re.compile("&([A-Za-z][A-Za-z0-9]*);")
_ENTITIES = {name: chr(code) for name, code in html.entities.name2codepoint.items()}
_MAX_ENTITY = 32
"""Characters of the longest entity, and more."""


@dataclass
class XmlTable:
    """An open XML feed; see `records.Table`. Row i is the i-th product."""

    path: Path
    header: list[str]
    notes: list[str] = field(default_factory=list)

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`. Raise BadTable where the file is not XML."""
        start, products = 1, _products(self.path)
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
    products = itertools.islice(_products(path), max_products)
    names = dict.fromkeys(name for product in products for name in product)
    if not names:
        expected = ", ".join(f"<{name}>" for name in PRODUCT_ELEMENTS)
        raise BadTable(f"{path} contains no products; expected one of the elements {expected} for each.")
    return XmlTable(path, list(names))


def _products(path: Path) -> Iterator[dict[str, list[str]]]:
    """Yield the texts of every product by element name."""
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(("start", "end"))
    opened: list[ElementTree.Element] = []
    product: ElementTree.Element | None = None
    try:
        for text in _read_text(path):
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


def _read_text(path: Path) -> Iterator[str]:
    """Yield the text of the file for the parser. Raise BadTable if it declares entities, which may be of any size."""
    rest, is_first = "", True
    with open_decompressed(path) as stream:
        data = read_bytes(stream, _CHUNK_BYTES, path)
        decoder = codecs.getincrementaldecoder(_encoding(data))(MARK_UNDECODABLE)
        while True:
            text = decoder.decode(data, final=not data).replace("\udfff", _UNDECODABLE)
            if is_first and "<!ENTITY" in text:
                raise BadTable(f"{path} declares entities, which are not read; remove its DOCTYPE.")
            text, is_first = rest + (text.removeprefix("\ufeff") if is_first else text), False
            cut = text.rfind("&", len(text) - _MAX_ENTITY) if data else -1  # an entity may continue in the next chunk
            text, rest = (text, "") if cut < 0 else (text[:cut], text[cut:])
            yield _ENTITY.sub(_replace_entity, _NOT_XML.sub("", text))
            if not data:
                return
            data = read_bytes(stream, _CHUNK_BYTES, path)


def _encoding(beginning: bytes) -> str:
    """Return the encoding that the beginning of the file shows or declares; UTF-8 if it is unknown."""
    declared = _DECLARED_ENCODING.match(beginning[:200].lstrip())
    encoding = marked_encoding(beginning) or wide_encoding(beginning[:200])
    if encoding is None and declared:
        try:
            encoding = named_encoding(declared[1].decode())
        except LookupError:
            encoding = None
    return encoding or "utf-8"


def _replace_entity(match: re.Match[str]) -> str:
    """Return the character of an entity that HTML has and XML does not."""
    if match[1] in ("amp", "lt", "gt", "quot", "apos"):
        return match[0]
    return _ENTITIES.get(match[1], match[0])


def _texts(element: ElementTree.Element) -> dict[str, list[str]]:
    texts = {_local_name(name): [value] for name, value in element.attrib.items() if value.strip()}
    for child in element:
        text = "".join(child.itertext()).strip() or child.get("href", "")
        if text:
            texts.setdefault(_local_name(child.tag), []).append(text)
    return texts


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _as_text(texts: list[str] | None) -> str | None:
    if not texts:
        return None
    return texts[0] if len(texts) == 1 else json.dumps(texts, ensure_ascii=False)
