"""Product feeds in XML, such as those for Google Merchant: RSS `<item>` or Atom `<entry>` elements.

A column is the name of a child element without its namespace. Elements that repeat become a JSON list.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from prodrec.core.base.errors import BadTable
from prodrec.core.data.tables.decompress import open_decompressed
from prodrec.core.data.tables.records import frame_of_rows, number_rows

if TYPE_CHECKING:
    import polars as pl

PRODUCT_ELEMENTS = ("item", "entry", "product", "offer")
"""Names of the element of one product: RSS, Atom, and two other usual ones."""

_CHUNK_ROWS = 20_000


@dataclass
class XmlTable:
    """An open XML feed; see `records.Table`. Row i is the i-th product."""

    path: Path
    header: list[str]
    notes: list[str] = field(default_factory=list)

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.LazyFrame]:
        """Yield the rows; see `records.Table`. Raise BadTable where the file is not XML."""
        start, products = 1, _products(self.path)
        while True:
            values: dict[str, list[str | None]] = {name: [] for name in columns}
            count = 0
            for product in products:
                for name, column in values.items():
                    column.append(_as_text(product.get(name)))
                count += 1
                if count == _CHUNK_ROWS:
                    break
            if not count:
                return
            yield number_rows(frame_of_rows(values, count, {}), start).lazy()
            start += count


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
    try:
        with open_decompressed(path) as stream:
            depth_of_product = None
            depth = 0
            for event, element in ElementTree.iterparse(stream, events=("start", "end")):
                depth += 1 if event == "start" else -1
                name = _local_name(element.tag)
                if event == "start":
                    if depth_of_product is None and name in PRODUCT_ELEMENTS:
                        depth_of_product = depth
                elif depth_of_product is not None and depth == depth_of_product - 1:
                    yield _texts(element)
                    element.clear()
                    depth_of_product = None
    except ElementTree.ParseError as error:
        raise BadTable(f"{path} is not readable as XML: {error}.") from error


def _texts(element: ElementTree.Element) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
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
