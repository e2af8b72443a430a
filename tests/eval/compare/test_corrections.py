"""McNemar's test and Holm's correction, against known values."""

from __future__ import annotations

import pytest
from scipy import stats

from prodrec.eval.compare.corrections import holm, mcnemar


def test_holm_steps_down_and_never_decreases() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (0, 1), (6, 0), (12, 30), (7, 7), (300, 250)])
def test_mcnemar_is_the_binomial_test(better: int, worse: int) -> None:
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(expected)
