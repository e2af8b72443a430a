"""A comparison as plain values for JSON, and as CSV."""

from __future__ import annotations

import csv
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from prodrec.core.base.csv_cells import harmless
from prodrec.eval.compare.verdicts import sentence, verdict

if TYPE_CHECKING:
    from prodrec.eval.compare.comparison import Comparison, Difference, Measure

COLUMNS = (
    *("split", "group", "metric", "top", "classes", "images", "first", "second", "first_value", "second_value"),
    *("gain", "low", "high", "p", "corrected_p", "verdict", "images_low", "images_high", "seed_error"),
)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison with accuracies in percent, and gains in percentage points."""
    return {
        "split": comparison.split,
        "top": comparison.top,
        "unit": "percent",
        "confidence": 0.95,
        "counted": comparison.units,
        "columns": [
            {"name": group.name, "runs": [comparison.runs[i] for i in group.files]} for group in comparison.run_groups
        ],
        "measures": [_measure_json(comparison, measure) for measure in comparison.measures],
        "differences": [difference_json(comparison, difference) for difference in comparison.differences],
        "settings": {
            name: dict(zip(comparison.names, values, strict=True)) for name, values in comparison.settings.items()
        },
        **({"tables": [asdict(table) for table in comparison.tables]} if comparison.tables else {}),
        "notes": list(comparison.notes),
    }


def _measure_json(comparison: Comparison, measure: Measure) -> dict[str, Any]:
    return {
        "group": measure.group,
        "metric": measure.metric,
        "classes": measure.classes,
        "classes_in_all": measure.total_classes,
        "images": measure.images,
        "columns": {
            name: {
                "value": _points(measure.mean(i)),
                "spread": _points(measure.spread(i)),
                "runs": [_points(value) for value in measure.values[i]],
            }
            for i, name in enumerate(comparison.names)
        },
    }


def difference_json(comparison: Comparison, difference: Difference) -> dict[str, Any]:
    """Return one difference; p values are rounded to six decimals."""
    test, names = difference.test, comparison.names
    return {
        "group": difference.measure.group,
        "metric": difference.measure.metric,
        "first": names[difference.first],
        "second": names[difference.second],
        "gain": _points(test.gain),
        "low": _points(test.interval[0]),
        "high": _points(test.interval[1]),
        "p": round(test.p, 6),
        "corrected_p": round(difference.corrected_p, 6),
        "verdict": verdict(difference),
        "sentence": sentence(comparison, difference),
        "images_low": _points(test.image_interval[0]),
        "images_high": _points(test.image_interval[1]),
        "seed_error": _points(test.seed_error),
        "mcnemar": [asdict(exact) for exact in difference.mcnemar],
    }


def _points(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 4)


def write_csv(comparison: Comparison, file: TextIO) -> None:
    """Write a header, then one line for every measure of every pair."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for difference in comparison.differences:
        measure = difference.measure
        values = {
            **difference_json(comparison, difference),
            "split": comparison.split,
            "top": comparison.top,
            "classes": measure.classes,
            "images": measure.images,
            "first_value": _points(measure.mean(difference.first)),
            "second_value": _points(measure.mean(difference.second)),
        }
        cells = [values[name] for name in COLUMNS]
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
