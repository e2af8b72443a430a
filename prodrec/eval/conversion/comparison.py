"""The variants of a table of visits, compared: rates, gains over the control, and the visitors that a gain needs.

Shapes: P visitor-days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.wording import counted
from prodrec.core.data.tables.visits import VisitorDays, Visits
from prodrec.eval.compare.corrections import holm
from prodrec.eval.conversion.estimates import GainEstimate, Rate, estimate_gain, estimate_rate
from prodrec.eval.conversion.sample_size import SampleSize, sample_size
from prodrec.eval.report.seed_intervals import LEVEL

FEWEST_TRADING = 10
"""With fewer trading visitors in a variant, a note says that the interval is rough; examples/LOG.md has 10 and 20."""


@dataclass(frozen=True)
class Gain:
    """The gain of a variant over the control; `corrected_p` is corrected for all variants (Holm)."""

    variant: str
    estimate: GainEstimate
    corrected_p: float

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown, after the correction."""
        return self.corrected_p < LEVEL


@dataclass(frozen=True, eq=False, repr=False)
class ConversionComparison:
    """Conversion rates of unique visitors and the gains of variants. `print(comparison)` shows all of it.

    visits:  the unique visitors by variant and day
    control: the variant with which the others are compared
    rates:   for every variant, in the order of the table
    gains:   for every other variant that can be compared
    needed:  visitors for the wanted gain; None without one
    notes:   facts without which the results may be misread, one sentence each
    """

    visits: Visits
    control: str
    rates: tuple[Rate, ...]
    gains: tuple[Gain, ...]
    needed: SampleSize | None
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec uv --json` prints them; rates and gains are fractions."""
        from prodrec.eval.conversion.render import conversion_json

        return conversion_json(self)

    def __str__(self) -> str:
        from prodrec.eval.conversion.render import render_text

        return render_text(self, width=console.width())

    def __repr__(self) -> str:
        return f"<ConversionComparison of {', '.join(self.visits.variants)}>"


def compare_variants(
    visits: Visits, control: int, *, gain: float | None = None, power: float = 0.8
) -> ConversionComparison:
    """Compare every variant with the control.

    gain, power: return the visitors that each variant needs to show this relative gain with this probability

    Raise BadOption if the rate of the control cannot grow by `gain`.
    """
    rates = tuple(estimate_rate(visits, variant) for variant in range(len(visits.variants)))
    others = [variant for variant in range(len(visits.variants)) if variant != control]
    estimates = {variant: estimate_gain(visits, variant, control) for variant in others}
    comparable = {variant: one for variant, one in estimates.items() if isinstance(one, GainEstimate)}
    corrected = holm([one.p for one in comparable.values()])
    gains = tuple(
        Gain(visits.variants[variant], one, p) for (variant, one), p in zip(comparable.items(), corrected, strict=True)
    )
    notes = [
        f"{visits.variants[variant]} is not compared: {reason}."
        for variant, reason in estimates.items()
        if isinstance(reason, str)
    ]
    if not others:
        notes.append(f"The table has one variant, {visits.variants[control]}, so there is no gain.")
    needed = None
    if gain is not None and rates[control].trading:
        per_day = min(rate.visiting / rate.days for rate in rates)
        needed = sample_size(
            rates[control].value,
            gain,
            power=power,
            comparisons=max(1, len(others)),
            repetition=rates[control].repetition,
            visitors_per_day=per_day,
        )
    elif gain is not None:
        notes.append(f"No visitor of {visits.variants[control]} traded, so no number of visitors can be computed.")
    return ConversionComparison(
        visits=visits,
        control=visits.variants[control],
        rates=rates,
        gains=gains,
        needed=needed,
        notes=(*notes, *_notes(visits, gains)),
    )


def _notes(visits: Visits, gains: tuple[Gain, ...]) -> list[str]:
    notes = []
    if len(gains) > 1:
        notes.append(f"p values are corrected for {len(gains)} variants (Holm); intervals are not.")
    for gain in gains:
        if gain.estimate.days < len(visits.days):
            notes.append(
                f"The gain of {gain.variant} is over {counted(gain.estimate.days, 'day', 'days')} of "
                f"{len(visits.days)}, on which both variants had visitors."
            )
        if gain.estimate.fewest < FEWEST_TRADING:
            fewest = counted(gain.estimate.fewest, "trading visitor", "trading visitors")
            notes.append(
                f"The gain of {gain.variant} rests on {fewest} of one variant: its interval and p value are rough."
            )
    if visits.visitor_days is not None:
        notes += _notes_of_visitors(visits.visitor_days)
    elif len(visits.days) > 1:
        notes.append(
            "A table of counts does not show who returns on another day: if many do, intervals are too narrow and p "
            "values too small; a row for each visit avoids it."
        )
    return notes


def _notes_of_visitors(days: VisitorDays) -> list[str]:
    visitors = int(days.visitor_P.max()) + 1
    several_days, several_variants = (
        _with_several(days.visitor_P, values_P) for values_P in (days.day_P, days.variant_P)
    )
    notes, of_all = [], counted(visitors, "visitor", "visitors")
    if several_days:
        notes.append(
            f"{several_days:,} of {of_all} came on several days: they count once a day, and intervals and p values "
            "take their days together."
        )
    if several_variants:
        notes.append(
            f"{several_variants:,} of {of_all} saw several variants: the gain usually looks smaller than it is."
        )
    return notes


def _with_several(visitor_P: NDArray[np.int64], values_P: NDArray[np.int64]) -> int:
    """Return the number of visitors with several different values."""
    width = int(values_P.max()) + 1
    pairs = np.unique(visitor_P * width + values_P)
    return int((np.bincount(pairs // width) > 1).sum())
