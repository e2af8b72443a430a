"""Counts of predictions by their confidence, from which the calibration of a run is estimated.

The confidence of a prediction is the probability of its class. Three estimates follow from the counts:

reliability          accuracy of the predictions whose confidence lies in a bin; a run that can be trusted is right in
                     80 % of the predictions with 80 % confidence
calibration error    ECE = Σ_b n_b/n |accuracy_b - mean confidence_b| over the bins (Guo et al. 2017, eq. 3)
coverage, precision  of the rule that answers only from a threshold of confidence: the share of answered images, and
                     the share of right answers among them

Confidences are counted in FINE bins, so memory does not grow with the rows. A bin contains its lower end.

Shapes: R rows of a chunk; B bins; T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.report.intervals import Interval, accuracy_intervals, wilson_interval

BINS = 15
"""Bins of the calibration error, as in Guo et al."""
FINE = 100 * BINS
"""Bins that are counted; also the thresholds that are tried."""


class ReliabilityBin(NamedTuple):
    """A bin with images: its ends, images, mean confidence, and accuracy with its interval."""

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float
    interval: Interval


class OperatingThreshold(NamedTuple):
    """A threshold of confidence, the share of images that reach it, and the share of right answers among them."""

    threshold: float
    coverage: float
    precision: float
    interval: Interval


@dataclass
class ConfidenceCounts:
    """Images, right ones, and the sum of confidences by fine bin: int64, int64, float64 [FINE]."""

    images_B: NDArray[np.int64] = field(default_factory=lambda: np.zeros(FINE, dtype=np.int64))
    correct_B: NDArray[np.int64] = field(default_factory=lambda: np.zeros(FINE, dtype=np.int64))
    sums_B: NDArray[np.float64] = field(default_factory=lambda: np.zeros(FINE))

    def add(self, confidence_R: NDArray[np.float64], correct_R: NDArray[np.bool_]) -> None:
        """Count the predictions of a chunk."""
        bin_R = np.minimum((confidence_R * FINE).astype(np.int64), FINE - 1)
        self.images_B += np.bincount(bin_R, minlength=FINE)
        self.correct_B += np.bincount(bin_R[correct_R], minlength=FINE)
        self.sums_B += np.bincount(bin_R, weights=confidence_R, minlength=FINE)

    @property
    def images(self) -> int:
        """Number of counted images."""
        return int(self.images_B.sum())

    @property
    def accuracy(self) -> float:
        """Share of right predictions; there must be images."""
        return float(self.correct_B.sum() / self.images_B.sum())

    @property
    def mean_confidence(self) -> float:
        """Mean confidence; there must be images."""
        return float(self.sums_B.sum() / self.images_B.sum())

    def reliability(self) -> list[ReliabilityBin]:
        """Return the bins that have images, from the lowest confidence to the highest."""
        images, correct, sums = (values.reshape(BINS, -1).sum(axis=1) for values in self._columns)
        return [
            ReliabilityBin(
                b / BINS,
                (b + 1) / BINS,
                int(images[b]),
                float(sums[b] / images[b]),
                float(correct[b] / images[b]),
                wilson_interval(float(correct[b] / images[b]), float(images[b])),
            )
            for b in np.flatnonzero(images)
        ]

    def calibration_error(self) -> float:
        """Return the expected calibration error; there must be images."""
        return sum(b.images * abs(b.accuracy - b.confidence) for b in self.reliability()) / self.images

    def thresholds(self) -> list[OperatingThreshold]:
        """Return coverage and precision at every threshold that some image reaches, in ascending order."""
        images_T, correct_T = (np.cumsum(values[::-1])[::-1] for values in self._columns[:2])
        reached = np.flatnonzero(self.images_B)  # other thresholds answer the same images as the next one
        images_T, correct_T = images_T[reached], correct_T[reached]
        low_T, high_T = accuracy_intervals(correct_T[:, None], images_T[:, None], np.ones((len(reached), 1)))
        return [
            OperatingThreshold(bin_ / FINE, n / self.images, k / n, (float(low), float(high)))
            for bin_, n, k, low, high in zip(
                reached.tolist(), images_T.tolist(), correct_T.tolist(), low_T, high_T, strict=True
            )
        ]

    def widest(self, precision: float) -> OperatingThreshold | None:
        """Return the smallest threshold whose precision is surely reached: the lower end of its interval is enough."""
        return next((t for t in self.thresholds() if t.interval[0] >= precision), None)

    @property
    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        return self.images_B, self.correct_B, self.sums_B
