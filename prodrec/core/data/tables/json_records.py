"""Find the array of records in the content of a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prodrec.core.base.errors import BadTable

PRODUCT_ARRAYS = ("products", "items", "listings", "records", "rows", "data")
"""Names of the array with the records, if there are several arrays."""


def find_records(content: Any, path: Path) -> list[Any]:
    """Return the array of objects in the content of a file; a single object is an array of one.

    The array may be in an object, or in one of several objects in an array, as Salsify writes it; and pandas writes an
    object for each column, with the row numbers as keys.

    Raise BadTable if the file contains several tables, as the annotations of COCO do.
    """
    if isinstance(content, list):
        sections = [section for section in content if isinstance(section, dict)]
        if len(sections) > 1 and all(len(section) == 1 for section in sections):
            arrays = {name: value for section in sections for name, value in section.items() if _is_array(value)}
            if arrays:
                return _choose(arrays, path)
        return content
    if not isinstance(content, dict):
        return []
    arrays = {name: value for name, value in content.items() if _is_array(value)}
    has_values = any(not isinstance(value, list | dict) for value in content.values())
    if len(arrays) == 1 or (arrays and not has_values):
        return _choose(arrays, path)
    columns = [value for value in content.values() if isinstance(value, dict) and value]
    if len(columns) == len(content) > 1 and all(key.isdecimal() for column in columns for key in column):
        rows = dict.fromkeys(row for column in columns for row in column)
        return [{name: column.get(row) for name, column in content.items()} for row in rows]
    return [content]


def _is_array(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _choose(arrays: dict[str, list[Any]], path: Path) -> list[Any]:
    """Return the only array, or the one that is named as products are."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    named = next((arrays[name] for name in PRODUCT_ARRAYS if name in arrays), None)
    if named is None:
        raise BadTable(
            f"{path} contains several arrays of objects ({', '.join(arrays)}); expected one, with an object for each "
            "product: join them into one table first, as docs/how-to/your-export.md shows."
        )
    return named
