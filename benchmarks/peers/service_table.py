"""The table of `benchmarks/service.py`: the medians of all rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

COLUMNS = {
    "photos_per_second": ("photos/s", 1),
    "ratio": ("× FastAPI", 2),
    "photos_per_processor_second": ("photos per processor second", 1),
    "p50": ("p50 ms", 1),
    "p95": ("p95 ms", 1),
    "p99": ("p99 ms", 1),
    "spread": ("p99 / p50", 1),
    "server_cores": ("cores", 2),
    "other_cores": ("cores of others", 2),
    "waiting_percent": ("waiting %", 0),
    "memory_gb": ("GB", 2),
}
"""The title of each column, and its decimals."""
REFERENCE = "fastapi"


def markdown(results: list[dict[str, Any]], titles: Mapping[str, str]) -> str:
    """Return a table with the median of each value over all rounds, by number of clients and server.

    titles: the titles of the servers by name, in the order of the rows
    """
    names = " | ".join(title for title, _ in COLUMNS.values())
    lines = [f"| clients | server | rounds | {names} |", f"| ---: | --- | ---: {'| ---: ' * len(COLUMNS)}|"]
    for clients in sorted({one["clients"] for one in results}):
        reference: float | None = None
        rows: list[tuple[str, int, dict[str, float]]] = []
        for name, title in titles.items():
            ones = [one for one in results if one["clients"] == clients and one["arm"] == name]
            if ones:
                rows.append((title, len(ones), _medians(ones)))
                reference = rows[-1][2]["photos_per_second"] if name == REFERENCE else reference
        for title, rounds, medians in rows:
            if reference:
                medians["ratio"] = medians["photos_per_second"] / reference
            cells = (f"{medians[key]:.{digits}f}" if key in medians else "–" for key, (_, digits) in COLUMNS.items())
            lines.append(f"| {clients} | {title} | {rounds} | {' | '.join(cells)} |")
    failures = sum(count for one in results for status, count in one["statuses"].items() if status != "200")
    return "\n".join([*lines, "", f"Answers with another status than 200: {failures}.", ""])


def _medians(ones: list[dict[str, Any]]) -> dict[str, float]:
    medians = {key: statistics.median(one[key] for one in ones) for key in COLUMNS if key in ones[0]}
    per_second = [one["photos_per_second"] / one["server_cores"] for one in ones if one["server_cores"]]
    if per_second:
        medians["photos_per_processor_second"] = statistics.median(per_second)
    if medians["p50"]:
        medians["spread"] = medians["p99"] / medians["p50"]
    return medians
