"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, one: str, several: str) -> str:
    """Return `1 row has` for counted(1, "row has", "rows have"), and `1,000 rows have` for 1000."""
    return f"{count:,} {one if count == 1 else several}"
