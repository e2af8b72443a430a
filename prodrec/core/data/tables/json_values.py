"""Values of JSON as the text of cells.

A list or an object is JSON text; null, NaN and infinite numbers are missing; a whole number has no `.0`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prodrec.core.data.tables.records import frame_of_rows

if TYPE_CHECKING:
    import polars as pl

TOO_DEEP = "nested too deeply"

LONE_SURROGATE = "half of a surrogate pair, which is not a character"

_EXACT_FLOATS = 2**53
"""Every whole number below this is exact as a 64-bit float."""


def frame_of_texts(
    texts: Sequence[Sequence[str | None]], columns: Sequence[str], problems: dict[int, str]
) -> pl.DataFrame:
    """Return a chunk from the texts of its rows."""
    values = dict(zip(columns, zip(*texts, strict=True), strict=True)) if texts else dict.fromkeys(columns, ())
    return frame_of_rows(values, len(texts), problems)


def row_of_texts(record: Any, columns: Sequence[str], problem: str | None) -> tuple[list[str | None], str | None]:
    """Return the texts of a record, which are None if there is a problem, and the problem."""
    if problem is None:
        try:
            values = [record.get(name) for name in columns]
            return [value if type(value) is str else as_text(value) for value in values], None
        except RecursionError:
            problem = TOO_DEEP
    return [None] * len(columns), problem


def has_lone_surrogate(value: Any) -> bool:
    """Return whether a text or a key in `value` cannot be written in UTF-8."""
    if isinstance(value, str):
        return not value.isascii() and re.search("[\ud800-\udfff]", value) is not None
    if isinstance(value, dict):
        return any(has_lone_surrogate(key) or has_lone_surrogate(item) for key, item in value.items())
    return isinstance(value, list) and any(map(has_lone_surrogate, value))


def as_text(value: Any) -> str | None:
    """Return a value of JSON as text; null, NaN and infinite numbers are None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT_FLOATS else str(value)
    if isinstance(value, int):
        return str(value)
    try:
        return ENCODER.encode(value)
    except ValueError:
        return ENCODER.encode(finite(value))


ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str)


def finite(value: Any) -> Any:
    """Return a list or an object with null in place of NaN and infinite numbers, which are not JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
