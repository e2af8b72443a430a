from __future__ import annotations

import numpy as np

from prodrec.eval.audit.shared_classes import shared_classes


def test_a_class_that_is_divided_at_random_is_found() -> None:
    """Rows 0 to 299 are one class under two names; a class of photos that are alike has neighbours among themselves."""
    random = np.random.default_rng(0)
    labels = np.concatenate([random.integers(0, 2, 300), np.full(100, 2), np.full(100, 3)])
    index = np.concatenate(
        [random.integers(0, 300, (300, 10)), random.integers(300, 400, (100, 10)), random.integers(400, 500, (100, 10))]
    )
    index[0, :5] = -1
    found = shared_classes(labels, index, ["Shirts", "Tops", "Hand-Bag", "hand bags"])
    assert [(one.first, one.second, one.alike) for one in found] == [(0, 1, False), (2, 3, True)]
    assert abs(found[0].mixed - 1) < 0.1 and found[1].mixed == 0
