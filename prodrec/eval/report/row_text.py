"""The texts of a row: its labels, values and gains.

Percentages have two decimals, numbers of edges three. The 95 % interval follows in brackets, the sample standard
deviation over seeds after ±. Gains are in percentage points or edges.
"""

from __future__ import annotations

from prodrec.eval.report import attribute_table, hierarchy_table
from prodrec.eval.report.strata import MACC, MACRO
from prodrec.eval.report.table import Cell, Row

NOT_AVAILABLE = "n/a"
DIGITS = {"percent": (2, 1), "edges": (3, 3)}
"""Decimals of a value and of the ends of its interval, by unit."""
TOP_1_SECTIONS = (attribute_table.SECTION, hierarchy_table.SECTION)
"""Sections that contain top-1 metrics only, whose labels do not repeat it."""


def value_text(row: Row, group: int) -> str:
    """Return the value of the run group with index `group`, as `83.41 [82.6, 84.2]`; n/a without a cell."""
    return format_value(row.cells[group], unit=row.unit, scale=row.scale)


def gain_text(row: Row, group: int) -> str:
    """Return the gain of a run group other than the first, as `+0.61 [+0.1, +1.1]`; n/a if one of them has no cell."""
    return format_gain(row.cells[group], unit=row.unit, scale=row.scale) or NOT_AVAILABLE


def gain_direction(row: Row, group: int) -> str | None:
    """Return "better" or "worse" if the interval of the gain excludes 0, else "unclear"; None without a gain."""
    cell = row.cells[group]
    if cell is None or cell.gain is None:
        return None
    low, high = cell.gain.interval
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) != row.lower_is_better else "worse"


def format_value(cell: Cell | None, *, unit: str = "percent", scale: float = 100.0) -> str:
    """Return `83.41 [82.6, 84.2]`, for repeats `83.41 ± 0.31 [82.6, 84.2]`; n/a without a cell."""
    if cell is None:
        return NOT_AVAILABLE
    digits, interval_digits = DIGITS[unit]
    spread = "" if cell.spread is None else f" ± {scale * cell.spread:.{digits}f}"
    low, high = (f"{scale * end:.{interval_digits}f}" for end in cell.interval)
    return f"{scale * cell.value:.{digits}f}{spread} [{low}, {high}]"


def format_gain(cell: Cell | None, *, unit: str = "percent", scale: float = 100.0) -> str:
    """Return `+0.61 [+0.1, +1.1]`, for repeats with ±; n/a without a cell; empty for a cell without a gain."""
    if cell is None or cell.gain is None:
        return "" if cell is not None else NOT_AVAILABLE
    gain, (digits, interval_digits) = cell.gain, DIGITS[unit]
    spread = "" if gain.spread is None else f" ± {scale * gain.spread:.{digits}f}"
    low, high = (format_signed(scale * end, interval_digits) for end in gain.interval)
    return f"{format_signed(scale * gain.value, digits)}{spread} [{low}, {high}]"


def format_signed(value: float, digits: int) -> str:
    """Return a number with its sign; a number that rounds to zero has a plus."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text.replace("-", "+")


def metric_text(row: Row) -> str:
    """Return the metric with its k, as `MACC top-1`; without the k in sections of top-1 metrics."""
    metric = MACC if row.metric == MACRO else row.metric
    return metric if row.section in TOP_1_SECTIONS else f"{metric} top-{row.top}"


def classes_text(row: Row) -> str:
    """Return the number of tested classes, as `9` or, if others have no test image, `9 of 12`."""
    return f"{row.classes:,}" if row.classes == row.total_classes else f"{row.classes:,} of {row.total_classes:,}"


def images_text(row: Row) -> str:
    """Return the number of test images; a range if it differs between runs, as that of their mistakes does."""
    images = [cell.images for cell in row.cells if cell is not None] or [row.tested[1]]
    return f"{images[0]:,}" if len(set(images)) == 1 else f"{min(images):,}–{max(images):,}"
