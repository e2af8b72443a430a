"""Confidence counts, compared with plain loops over drawn predictions."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.eval.report.confidence import BINS, ConfidenceCounts
from prodrec.eval.report.intervals import wilson_interval


@pytest.fixture
def drawn() -> tuple[list[float], list[bool], ConfidenceCounts]:
    random = np.random.default_rng(0)
    confidence = np.r_[random.random(400).round(3), 0.0, 1.0, 1.0]
    correct = random.random(403) < confidence**2
    counts = ConfidenceCounts()
    for part in (slice(0, 100), slice(100, 100), slice(100, None)):  # chunks, one of them empty
        counts.add(confidence[part], correct[part])
    return confidence.tolist(), correct.tolist(), counts


def test_reliability_and_calibration_error(drawn: tuple[list[float], list[bool], ConfidenceCounts]) -> None:
    confidence, correct, counts = drawn
    error = 0.0
    for b in counts.reliability():
        inside = [i for i, p in enumerate(confidence) if b.low <= p < b.high or (p == 1 and b.high == 1)]
        assert b.images == len(inside)
        accuracy = sum(correct[i] for i in inside) / len(inside)
        assert b.accuracy == pytest.approx(accuracy)
        assert b.confidence == pytest.approx(sum(confidence[i] for i in inside) / len(inside))
        assert b.interval == pytest.approx(wilson_interval(accuracy, len(inside)))
        error += abs(accuracy - b.confidence) * len(inside) / len(confidence)
    assert len(counts.reliability()) == BINS and counts.images == 403
    assert counts.calibration_error() == pytest.approx(error)
    assert counts.accuracy == pytest.approx(sum(correct) / 403)
    assert counts.mean_confidence == pytest.approx(sum(confidence) / 403)


def test_thresholds(drawn: tuple[list[float], list[bool], ConfidenceCounts]) -> None:
    confidence, correct, counts = drawn
    for t in counts.thresholds():
        answered = [right for p, right in zip(confidence, correct, strict=True) if p >= t.threshold - 1e-9]
        assert t.coverage == pytest.approx(len(answered) / 403)
        assert t.precision == pytest.approx(sum(answered) / len(answered))
    widest = counts.widest(0.7)
    assert widest is not None and widest.interval[0] >= 0.7
    assert all(t.interval[0] < 0.7 for t in counts.thresholds() if t.threshold < widest.threshold)
    assert counts.widest(1.0) is None
