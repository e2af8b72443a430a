"""Plots of confidence: their points are those of the counts."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.eval.plots.calibration import draw_coverage, draw_reliability
from prodrec.eval.plots.style import drawing_style
from prodrec.eval.report.confidence import ConfidenceCounts


@pytest.fixture
def counts() -> ConfidenceCounts:
    confidence = np.random.default_rng(0).random(500)
    counts = ConfidenceCounts()
    counts.add(confidence, np.random.default_rng(1).random(500) < confidence)
    return counts


def test_reliability_has_a_point_for_every_bin(counts: ConfidenceCounts) -> None:
    with drawing_style():
        (axes,) = draw_reliability({"run": counts}).axes
    line = next(line for line in axes.lines if len(line.get_xdata()) > 2)
    bins = counts.reliability()
    assert len([line for line in axes.lines if line.get_linestyle() == "-"]) == len(bins) - 1, "all are joined"
    assert list(line.get_xdata()) == pytest.approx([100 * b.confidence for b in bins])
    assert list(line.get_ydata()) == pytest.approx([100 * b.accuracy for b in bins])


def test_bins_of_few_images_are_not_joined() -> None:
    counts = ConfidenceCounts()
    counts.add(np.repeat([0.1, 0.3, 0.5, 0.7], [25, 20, 19, 30]), np.ones(94, dtype=np.bool_))
    with drawing_style():
        (axes,) = draw_reliability({"run": counts}).axes
    joined = [list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "-"]
    assert joined == [pytest.approx([10, 30])]


def test_coverage_has_no_points_of_few_answers(counts: ConfidenceCounts) -> None:
    with drawing_style():
        (axes,) = draw_coverage({"run": counts}).axes
    (line,) = axes.lines
    assert min(line.get_xdata()) >= 100 * 20 / 500 and max(line.get_xdata()) == 100
    assert line.get_ydata()[0] == pytest.approx(100 * counts.accuracy)
    low, high = axes.get_ylim()
    assert low <= min(line.get_ydata()) and high > 100
