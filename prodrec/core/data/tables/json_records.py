"""Find the array of records in the content of a JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prodrec.core.base.errors import BadTable

PRODUCT_ARRAYS = ("products", "items", "listings", "records", "rows", "data")
"""Names of the array with the records, if there are several arrays."""


def find_records(content: Any, path: Path) -> list[Any]:
    """Return the array of objects in the content of a file; a single object is an array of one.

    The array may be in an object, at any depth, or in one of several objects in an array, as Salsify writes it. Objects
    may be in an object by their ids, which become the key `id` if they have none. And pandas writes an array or an
    object for each column, or the names of the columns apart from the rows.

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
    records = _records_of_columns(content)
    if records is None:
        records = _records_by_id(content)
    if records is None:
        inner = [value for value in content.values() if isinstance(value, dict)]
        found = [find_records(value, path) for value in inner]
        longest = max(found, key=len, default=[])
        records = longest if len(longest) > 1 else [content]
    return records


def _records_of_columns(content: dict[str, Any]) -> list[Any] | None:
    """Return the rows of an object that contains columns; None if it is no such object."""
    columns = list(content.values())
    names, rows = content.get("columns"), content.get("data")
    if isinstance(names, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
        return [dict(zip(names, row, strict=False)) for row in rows]
    if len(columns) < 2:
        return None
    if all(isinstance(column, list) for column in columns) and len({*map(len, columns)}) == 1:
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    if all(isinstance(column, dict) and column and all(map(str.isdecimal, column)) for column in columns):
        numbers = dict.fromkeys(number for column in columns for number in column)
        return [{name: column.get(number) for name, column in content.items()} for number in numbers]
    return None


def _records_by_id(content: dict[str, Any]) -> list[Any] | None:
    """Return the objects of an object whose keys are ids: all have a key in common. None if it is no such object."""
    records = list(content.values())
    if len(records) < 2 or not all(isinstance(record, dict) for record in records):
        return None
    if not set.intersection(*map(set, records)):
        return None
    has_ids = any("id" in record for record in records)
    return records if has_ids else [{"id": key, **record} for key, record in content.items()]


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
