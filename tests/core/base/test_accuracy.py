"""Accuracies from counts, compared with results computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.accuracy import accuracy, mean_class_accuracy

CORRECT, IMAGES = np.array([3, 0, 1]), np.array([4, 0, 2])


def test_acc_weighs_images_and_macc_weighs_classes() -> None:
    assert accuracy(CORRECT, IMAGES) == 4 / 6
    assert mean_class_accuracy(CORRECT, IMAGES) == (3 / 4 + 1 / 2) / 2, "a class without images does not count"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_images_there_is_no_accuracy() -> None:
    assert np.isnan([compute(CORRECT * 0, IMAGES * 0) for compute in (accuracy, mean_class_accuracy)]).all()
