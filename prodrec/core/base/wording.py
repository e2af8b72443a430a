"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence

MOST_LISTED = 3
"""Names that a sentence lists."""


def counted(count: int, one: str, several: str) -> str:
    """Return `1 row has` for counted(1, "row has", "rows have"), and `1,000 rows have` for 1000."""
    return f"{count:,} {one if count == 1 else several}"


def listed(names: Sequence[str], *, most: int = MOST_LISTED) -> str:
    """Return `a, b, c and 4 more` for seven names."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
