"""Confused pairs: both directions are one pair, and the order is that of the mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.scores.reader import open_scores
from prodrec.eval.page.confusions import confused_pairs
from prodrec.eval.page.details import Details
from prodrec.eval.report.intervals import wilson_interval


def test_pairs_join_both_directions(predicted: Callable[..., Path], count_details: Callable[..., Details]) -> None:
    truth, best = [0, 0, 0, 1, 1, 2, 4, 4], [1, 1, 0, 0, 1, 3, 4, 4]
    with open_scores(predicted("run", truth, {"leaf": best})) as file:
        details = count_details(file)
    images_C = np.bincount(truth, minlength=5)
    pairs = confused_pairs(details, images_C, np.array([1, 1, 1, np.nan, 1]))
    assert [(pair.mistakes, pair.share) for pair in pairs] == [(3, 3 / 4), (1, 1 / 4)]
    first, second = pairs[0].directions
    assert (first.true, first.predicted, first.mistakes, first.images) == (0, 1, 2, 3)
    assert first.share == pytest.approx(2 / 3) and first.interval == pytest.approx(wilson_interval(2 / 3, 3))
    assert (second.true, second.predicted, second.mistakes, second.row) == (1, 0, 1, 3)
    reverse = pairs[1].directions[1]  # leaf 3 has no image
    assert (reverse.true, reverse.mistakes, reverse.images, reverse.row) == (3, 0, 0, -1)
    assert [pair.mistakes for pair in confused_pairs(details, images_C, np.ones(5), most=1)] == [3]
