"""Comparisons as a whole: verdicts, Holm's correction, notes, and what is printed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption
from prodrec.eval.compare.corrections import holm
from prodrec.eval.conversion.comparison import compare_variants
from prodrec.eval.conversion.estimates import GainEstimate, estimate_gain
from prodrec.eval.conversion.render import MOST_DAYS, needed_sentence

from .conftest import counts, of_visitors

FOUR = counts([[9000, 8000]] * 4, [[450, 400], [520, 450], [400, 330], [455, 410]])


def test_verdicts_are_corrected_for_the_number_of_variants() -> None:
    comparison = compare_variants(FOUR, 0)
    estimates = [estimate_gain(FOUR, variant, 0) for variant in (1, 2, 3)]
    assert [gain.estimate for gain in comparison.gains] == estimates
    p = [one.p for one in estimates if isinstance(one, GainEstimate)]
    assert [gain.corrected_p for gain in comparison.gains] == pytest.approx(holm(p))
    lines = [line for line in str(comparison).splitlines() if " is " in line or "shown" in line]
    assert lines[0].startswith("b is better than a: +14.1 % [+4.") and lines[0].endswith("after correction.")
    assert lines[1].startswith("c is worse than a: -14.1 % [-2")
    assert lines[2].startswith("d against a, no difference shown: +1.8 % [-7.")
    assert "p values are corrected for 3 variants (Holm); intervals are not." in comparison.notes
    assert [gain["verdict"] for gain in comparison.as_json()["gains"]] == ["better", "worse", "no difference shown"]


def test_another_control_turns_the_gain_round() -> None:
    two = counts([[9000], [8000]], [[450], [520]])
    one, other = (compare_variants(two, control).gains[0].estimate for control in (0, 1))
    assert (1 + one.gain) * (1 + other.gain) == pytest.approx(1) and one.p == pytest.approx(other.p)


def test_notes_name_what_may_be_misread() -> None:
    visits = of_visitors([(0, 0, 0, 1), (0, 0, 1, 0), (1, 1, 0, 1), (2, 0, 0, 0), (2, 1, 2, 1), (3, 1, 0, 0)])
    several_days = (
        "2 of 4 visitors came on several days: they count once a day, and intervals and p values take their days "
        "together."
    )
    assert compare_variants(visits, 0).notes == (
        "The gain of b is over 1 day of 3, on which both variants had visitors.",
        "The gain of b rests on 1 trading visitor of one variant: its interval and p value are rough.",
        several_days,
        "1 of 4 visitors saw several variants: the gain usually looks smaller than it is.",
    )
    assert any("does not show who returns" in note for note in compare_variants(FOUR, 0).notes)
    once = counts([[9000], [8000]], [[450], [520]])
    assert compare_variants(once, 0).notes == ()
    before_after = counts([[9, 0], [0, 9]], [[1, 0], [0, 1]])
    assert "b is not compared: no day in common with a." in compare_variants(before_after, 0).notes
    assert not compare_variants(before_after, 0).gains
    alone = compare_variants(counts([[9]], [[1]]), 0)
    assert alone.notes == ("The table has one variant, a, so there is no gain.",)


def test_every_cell_is_shown_with_its_counts() -> None:
    text = str(compare_variants(counts([[1000, 0], [2000, 5]], [[30, 0], [50, 1]]), 0))
    assert "3.00 (30 of 1,000)" in text and "2.50 (50 of 2,000)" in text and " – " in text
    assert "30 of 1,000" in text and "51 of 2,005" in text


def test_a_long_table_shows_the_last_days() -> None:
    days = MOST_DAYS + 9
    long = replace(
        counts(np.full((2, days), 100), np.full((2, days), 5)),
        days=tuple(f"{2026 + day // 28}-02-{day % 28 + 1:02}" for day in range(days)),
    )
    comparison = compare_variants(long, 0)
    assert "9 earlier days are in --json." in str(comparison) and "2026-02-09" not in str(comparison)
    assert "2026-02-10" in str(comparison) and f"{days} days" in str(comparison)
    assert len(comparison.as_json()["variants"][0]["by_day"]) == days


def test_visitors_for_a_gain() -> None:
    comparison = compare_variants(FOUR, 0, gain=0.03, power=0.8)
    needed = comparison.needed
    assert needed is not None and needed.days == -(-needed.visitors // 8500)
    two = compare_variants(counts([[9000, 8000]] * 2, [[450, 400]] * 2), 0, gain=0.03)
    assert two.needed is not None and needed.visitors > two.needed.visitors
    assert needed_sentence(comparison).startswith(
        "To show a gain of 3 % over 5.00 % with a probability of 80 % and 4 variants, each variant needs "
        f"{needed.visitors:,} visitors, counted once a day: {needed.days} days of"
    )
    returning = of_visitors([(i, i % 2, day, int(i < 10)) for i in range(90) for day in (0, 2)])
    assert ", with 2.00 times as many because" in needed_sentence(compare_variants(returning, 0, gain=0.5))
    none = compare_variants(counts([[9], [9]], [[0], [1]]), 0, gain=0.03)
    assert none.needed is None and "No visitor of a traded, so no number of visitors can be computed." in none.notes
    with pytest.raises(BadOption, match="cannot grow so much"):
        compare_variants(counts([[9], [9]], [[8], [1]]), 0, gain=0.5)
