"""Lists in the cells of a table: several photos of a product, or category paths, as shops write them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

PHOTO_ENDING = re.compile(r"\.(?:jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|heic)(?:[?#].*)?$", re.IGNORECASE)
WEB_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)

PHOTO_KEYS = (
    *("hi_res", "large", "url", "src", "link", "path", "image", "file_name", "filename", "salsify:url", "thumb"),
)
"""The keys under which an object in a list of photos names its photo, the best resolution first."""

_LIST_SEPARATOR = re.compile(r"\s*[,;|\n]\s*")
_ADDRESS_SEPARATOR = re.compile(r"[\s,;|]+(?=(?:https?:)?//)", re.IGNORECASE)
"""Before the next web address; addresses may contain commas, as those of Cloudinary do."""


def parse_list(text: str) -> list[Any] | None:
    """Return the list that a cell contains as JSON or as a Python literal; None if it contains none."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        if isinstance(value, list):
            return value
    return None


def split_photos(text: str) -> list[str]:
    """Return the names of the photos in a cell: a list, or names between `,` `;` `|` or line ends.

    Names may contain such signs. So a cell is cut only before web addresses, or if every part ends as photo files do.
    """
    values = parse_list(text) if text.startswith("[") else None
    if values is not None:
        return list(_photo_names(values))
    if text.startswith("{"):
        try:
            return list(_photo_names(json.loads(text)))
        except ValueError:
            return [text]
    if WEB_ADDRESS.match(text):
        addresses = [address.strip(" ,;|\n") for address in _ADDRESS_SEPARATOR.split(text)]
        if len(addresses) > 1 or text[-1] in ",;|":
            return addresses
    if _LIST_SEPARATOR.search(text) is None:
        return [text]
    parts = [part for part in _LIST_SEPARATOR.split(text.strip()) if part]
    if parts and all(PHOTO_ENDING.search(part) for part in parts):
        return parts
    return [text]


def _photo_names(value: Any) -> Iterator[str]:
    """Yield the names in nested lists of names and of objects with one of PHOTO_KEYS."""
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _photo_names(item)
    elif isinstance(value, dict):
        if value and all(isinstance(item, list) for item in value.values()):
            # columns instead of rows: {"hi_res": [null, …], "large": ["…", …]}
            rows = zip(*value.values(), strict=False)
            yield from _photo_names([dict(zip(value, row, strict=True)) for row in rows])
            return
        named = next((value[key] for key in PHOTO_KEYS if value.get(key)), None)
        if named is not None:
            yield from _photo_names(named)
