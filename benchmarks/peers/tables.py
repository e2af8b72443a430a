"""The Markdown table of `recognition.py`."""

from __future__ import annotations

import statistics
from typing import Any

from peers.measure import TAILS

COLUMNS = {"top1": "top-1", "macc": "MACC", **{f"tail_{bound}": f"tail (< {bound})" for bound in TAILS}}
COSTS = {"minutes": "minutes", "peak_gb": "peak GB"}


def markdown(results: dict[str, Any]) -> str:
    """Return the table of the results that `recognition.py` writes: mean ± standard deviation over the seeds."""
    lines = [
        f"{results['minutes']:g} minutes for each training, photos of {results['image_size']} pixels for the peers. "
        + "; ".join(f"{name} {version}" for name, version in results["versions"].items()),
        "",
        f"| | seeds | {' | '.join([*COLUMNS.values(), *COSTS.values()])} |",
        "| --- |" + " ---: |" * (1 + len(COLUMNS) + len(COSTS)),
    ]
    for row, parts in results["rows"].items():
        cells = [_mean([part[key] for part in parts]) for key in (*COLUMNS, *COSTS)]
        lines.append(f"| {row} | {len(parts)} | {' | '.join(cells)} |")
    if results["rows"]:
        part = next(iter(results["rows"].values()))[0]
        covers = [f"{part['photos']:,} photos of {part['classes']:,} classes"]
        covers += [
            f"tail (< {bound}) {part[f'photos_of_tail_{bound}']:,} of {part[f'classes_of_tail_{bound}']:,}"
            for bound in TAILS
        ]
        lines += ["", f"Test: {'; '.join(covers)}."]
    lines += [f"\nSkipped, no interpreter given: {name}." for name in results["skipped"]]
    lines += [f"\nFailed: {part}." for part in results["failed"]]
    return "\n".join(lines) + "\n"


def _mean(values: list[float | None]) -> str:
    """Return the mean of the seeds and their standard deviation; n/a if no test photo counts."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "n/a"
    mean = f"{statistics.fmean(numbers):.1f}"
    return f"{mean} ± {statistics.stdev(numbers):.1f}" if len(numbers) > 1 else mean
