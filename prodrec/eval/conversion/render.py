"""A comparison of variants for a terminal, as plain text, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prodrec.core.base.wording import counted
from prodrec.eval.compare.contents import TextTable
from prodrec.eval.compare.render_terminal import plain_text, table_parts
from prodrec.eval.compare.verdicts import BETTER, NOT_SHOWN, WORSE, p_text
from prodrec.eval.report.row_text import format_signed

if TYPE_CHECKING:
    from prodrec.eval.conversion.comparison import ConversionComparison, Gain

MOST_DAYS = 31
"""Days that are shown to people, the last ones; --json has all."""


def terminal_parts(comparison: ConversionComparison) -> Iterator[Any]:
    """Yield what is printed: the rates as a table, a sentence for every gain, and the visitors that are needed."""
    yield from table_parts(rate_table(comparison))
    for gain in comparison.gains:
        yield gain_sentence(comparison, gain)
    if comparison.needed is not None:
        yield needed_sentence(comparison)


def render_text(comparison: ConversionComparison, *, width: int) -> str:
    """Return the comparison and its notes as plain text."""
    return plain_text(terminal_parts(comparison), comparison.notes, width=width)


def rate_table(comparison: ConversionComparison) -> TextTable:
    """Return the rate of every variant, by day and over all days."""
    visits = comparison.visits
    hidden = max(0, len(visits.days) - MOST_DAYS)
    rows = [
        (day, *(_share(visits.trading_VD[i, d], visits.visiting_VD[i, d]) for i in range(len(visits.variants))))
        for d, day in enumerate(visits.days)
        if d >= hidden
    ]
    totals = []
    for rate in comparison.rates:
        low, high = rate.interval
        totals.append(f"{100 * rate.value:.2f} [{100 * low:.2f}, {100 * high:.2f}]")
    rows.append((counted(len(visits.days), "day", "days"), *totals))
    rows.append(("trading of visiting", *(f"{rate.trading:,} of {rate.visiting:,}" for rate in comparison.rates)))
    notes = (f"{counted(hidden, 'earlier day is', 'earlier days are')} in --json.",) if hidden else ()
    title = "UV conversion rate in percent: trading of visiting visitors, each counted once a day"
    return TextTable(title, ("day", *visits.variants), tuple(rows), notes=notes)


def _share(trading: int, visiting: int) -> str:
    return f"{100 * trading / visiting:.2f} ({trading:,} of {visiting:,})" if visiting else "–"


def gain_sentence(comparison: ConversionComparison, gain: Gain) -> str:
    """Return the verdict on a variant, such as `new is better than old: +3.1 % [+1.0 %, +5.2 %], p = 0.003.`"""
    low, high = (_percent(end) for end in gain.estimate.interval)
    p = p_text(gain.corrected_p) + (" after correction" if len(comparison.gains) > 1 else "")
    numbers = f"{_percent(gain.estimate.gain)} [{low}, {high}], {p}."
    if not gain.is_shown:
        return f"{gain.variant} against {comparison.control}, {NOT_SHOWN}: {numbers}"
    return f"{gain.variant} is {verdict(gain)} than {comparison.control}: {numbers}"


def verdict(gain: Gain) -> str:
    """Return BETTER or WORSE for the variant, or NOT_SHOWN."""
    if not gain.is_shown:
        return NOT_SHOWN
    return BETTER if gain.estimate.gain > 0 else WORSE


def needed_sentence(comparison: ConversionComparison) -> str:
    """Return how many visitors the wanted gain needs."""
    needed = comparison.needed
    assert needed is not None
    returning = (
        f", with {needed.repetition:.2f} times as many because visitors return" if needed.repetition > 1.005 else ""
    )
    several = f" and {len(comparison.rates)} variants" if len(comparison.rates) > 2 else ""
    return (
        f"To show a gain of {100 * needed.gain:g} % over {100 * needed.rate:.2f} % with a probability of "
        f"{100 * needed.power:g} %{several}, each variant needs {needed.visitors:,} visitors, counted once a day"
        f"{returning}: {counted(needed.days, 'day', 'days')} of the traffic in this table."
    )


def _percent(fraction: float) -> str:
    return f"{format_signed(100 * fraction, 1)} %"


def conversion_json(comparison: ConversionComparison) -> dict[str, Any]:
    """Return plain values; rates and gains are fractions."""
    visits = comparison.visits
    return {
        "table": str(visits.path),
        "rows": visits.rows,
        "bad_rows": {
            "count": visits.bad_rows,
            "first": [{"row": row, "problem": problem} for row, problem in visits.first_bad],
        },
        "days": list(visits.days),
        "control": comparison.control,
        "confidence": 0.95,
        "variants": [
            {
                **asdict(rate),
                "interval": list(rate.interval),
                "by_day": [
                    {
                        "day": day,
                        "visiting": int(visits.visiting_VD[i, d]),
                        "trading": int(visits.trading_VD[i, d]),
                        "rate": _fraction(visits.trading_VD[i, d], visits.visiting_VD[i, d]),
                    }
                    for d, day in enumerate(visits.days)
                ],
            }
            for i, rate in enumerate(comparison.rates)
        ],
        "gains": [
            {
                "variant": gain.variant,
                **asdict(gain.estimate),
                "interval": list(gain.estimate.interval),
                "corrected_p": gain.corrected_p,
                "verdict": verdict(gain),
                "sentence": gain_sentence(comparison, gain),
            }
            for gain in comparison.gains
        ],
        "needed": None if comparison.needed is None else asdict(comparison.needed),
        "notes": list(comparison.notes),
    }


def _fraction(trading: int, visiting: int) -> float | None:
    return float(trading / visiting) if visiting else None
