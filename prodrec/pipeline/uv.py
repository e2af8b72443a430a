"""`prodrec uv`: conversion rates of unique visitors by variant and day, and the gain of a variant (A eq. 2)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, did_you_mean

if TYPE_CHECKING:
    from prodrec.eval.conversion.comparison import ConversionComparison

POWER = 0.8


def uv(
    visits: str | Path,
    *,
    control: str | None = None,
    gain: str | float | None = None,
    power: str | float | None = None,
    visitor_column: str | None = None,
    variant_column: str | None = None,
    date_column: str | None = None,
    visitors_column: str | None = None,
    conversions_column: str | None = None,
    date_format: str | None = None,
) -> ConversionComparison:
    """Compute the UV conversion rate (A eq. 2) of every variant and day, and the gain of each variant over the control.

    The table has a row for each visit (visitor, variant, date, converted), or for each variant and day (variant, date,
    visitors, conversions). Rows that cannot be used are skipped, with a warning.

    Args:
        visits: any table that `prepare` reads.
        control: the variant with which the others are compared; None is the first in the table.
        gain: relative gain to plan for, such as "3%" or 0.03; the result has the visitors that each variant needs.
        power: probability of showing that gain, if it is real, such as 0.8, which is the default.
        visitor_column: column with ids of visitors, in a table of visits; None looks for usual names.
        variant_column: column with the names of variants.
        date_column: column with dates, or dates and times.
        visitors_column: column with numbers of visitors, in a table of counts.
        conversions_column: column with whether a visit converted, or with numbers of visitors who converted.
        date_format: format of the dates, as in `strftime`; None reads 2026-11-29, 2026/11/29, 20261129, 29.11.2026.

    Raises:
        NotFound: if the table does not exist.
        BadTable: if the table cannot be read, lacks a column, or more than half of its rows cannot be used.
        BadOption: for a control that the table lacks, a gain or power out of range, or columns of both forms.
    """
    from prodrec.core.data.tables.visits import open_visits
    from prodrec.eval.conversion.comparison import compare_variants

    if power is not None and gain is None:
        raise BadOption('--power is the probability of showing the gain of --gain; add --gain, such as "--gain 3%".')
    wanted = None if gain is None else _fraction("--gain", gain, "3% or 0.03")
    probability = POWER if power is None else _fraction("--power", power, "0.8 or 80%")
    table = open_visits(
        Path(visits),
        visitor_column=visitor_column,
        variant_column=variant_column,
        date_column=date_column,
        visitors_column=visitors_column,
        conversions_column=conversions_column,
        date_format=date_format,
    )
    names = table.variants
    if control is not None and control not in names:
        known = ", ".join(names[:10])
        raise BadOption(f"--control {control}: the variants of {table.path} are {known}{did_you_mean(control, names)}.")
    if table.bad_rows:
        console.warn(f"{table.path}: {table.bad_rows_text}.")
    for note in table.notes:
        console.info(note)
    return compare_variants(table, 0 if control is None else names.index(control), gain=wanted, power=probability)


def _fraction(option: str, value: str | float, example: str) -> float:
    """Return a number above 0 and below 1, of text such as `3%` too. Raise BadOption."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", str(value))
    number = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < number < 1:
        raise BadOption(f"{option} {value}: expected a part of 1, such as {example}.")
    return number
