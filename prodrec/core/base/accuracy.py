"""Accuracies, between 0 and 1, from the numbers of images and of correct images of every class (S §4.1).

ACC   the share of correct images: every image has the same weight.
MACC  the mean of the accuracies of the classes: every class has the same weight.

Shapes: C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def accuracy(correct_C: NDArray[np.int64], images_C: NDArray[np.int64]) -> float:
    """Return ACC; NaN if there are no images."""
    return float(correct_C.sum() / images_C.sum())


def mean_class_accuracy(correct_C: NDArray[np.int64], images_C: NDArray[np.int64]) -> float:
    """Return MACC over the classes that have images; NaN if there are none."""
    tested_C = images_C > 0
    return float((correct_C[tested_C] / images_C[tested_C]).mean())
