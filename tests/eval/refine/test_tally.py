"""Before and after, counted by hand."""

from __future__ import annotations

import numpy as np

from prodrec.eval.refine.tally import Tally


def test_acc_over_images_macc_over_classes_that_have_any() -> None:
    tally = Tally()
    label = np.array([0, 0, 0, 1])
    raw = np.array([[2, 1, 0], [2, 1, 0], [1, 2, 0], [5, 5, 0]], dtype=np.float32)  # a tie goes to the lower class
    refined = np.array([[2, 1, 0], [2, 1, 0], [2, 1, 0], [1, 2, 0]], dtype=np.float32)
    for rows in (slice(0, 1), slice(1, 4)):
        tally.add("test", "leaf", label[rows], raw[rows], refined[rows], None, 3)
    acc, macc = tally.figures()
    assert acc == {
        "split": "test", "level": "leaf", "metric": "ACC", "rows": 4, "classes": 2, "before": 50.0, "after": 100.0
    }  # fmt: skip
    assert (macc["before"], macc["after"]) == (33.3333, 100.0)


def test_a_true_class_that_was_not_kept_is_wrong() -> None:
    tally = Tally()
    classes = np.array([[4, 2], [1, 0]], dtype=np.int32)
    scores = np.array([[0, 1], [3, 2]], dtype=np.float32)
    tally.add("test", "leaf", np.array([2, 3]), scores, -scores, classes, 5)
    assert [(f["before"], f["after"]) for f in tally.figures()] == [(50.0, 0.0), (50.0, 0.0)]
