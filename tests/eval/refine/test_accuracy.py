"""Accuracy before and after, compared with counts by hand."""

from __future__ import annotations

import numpy as np

from prodrec.eval.refine.accuracy import AccuracyCounter


def test_acc_over_images_and_macc_over_classes_with_images() -> None:
    counter = AccuracyCounter()
    label = np.array([0, 0, 0, 1])
    raw = np.array([[2, 1, 0], [2, 1, 0], [1, 2, 0], [5, 5, 0]], dtype=np.float32)  # a tie goes to the lower class
    refined = np.array([[2, 1, 0], [2, 1, 0], [2, 1, 0], [1, 2, 0]], dtype=np.float32)
    for rows in (slice(0, 1), slice(1, 4)):
        counter.add("test", "leaf", label[rows], raw[rows], refined[rows], None, 3)
    acc, macc = counter.changes()
    assert acc.as_json() == {
        "split": "test", "level": "leaf", "metric": "ACC", "rows": 4, "classes": 2, "before": 50.0, "after": 100.0,
        "fitted": None,
    }  # fmt: skip
    assert (macc.before, macc.after) == (33.3333, 100.0)
    assert str(macc) == "test leaf MACC: 33.33 → 100.00 %"


def test_a_true_class_outside_the_top_k_is_wrong() -> None:
    counter = AccuracyCounter()
    classes = np.array([[4, 2], [1, 0]], dtype=np.int32)
    scores = np.array([[0, 1], [3, 2]], dtype=np.float32)
    counter.add("test", "leaf", np.array([2, 3]), scores, -scores, classes, 5)
    assert [(change.before, change.after) for change in counter.changes()] == [(50.0, 0.0), (50.0, 0.0)]


def test_rows_without_a_label_are_not_counted() -> None:
    counter = AccuracyCounter()
    scores = np.array([[2, 1], [1, 2], [2, 1]], dtype=np.float32)
    classes = np.array([[3, 4]] * 3, dtype=np.int32)
    counter.add("test", "leaf", np.array([3, -1, 4]), scores, -scores, classes, 5)
    counter.add("test", "leaf", np.array([-1, -1, 3]), scores, -scores, classes, 5)
    counter.add("validation", "leaf", np.array([-1, -1, -1]), scores, -scores, classes, 5)
    acc, macc = counter.changes()
    assert (acc.split, acc.rows, acc.classes) == ("test", 3, 2)
    assert (acc.before, acc.after) == (66.6667, 33.3333) and (macc.before, macc.after) == (50.0, 50.0)


def test_classes_without_rows_to_fit_on_are_counted_apart() -> None:
    counter = AccuracyCounter()
    label = np.array([0, 0, 1, 2, 2])
    raw = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 2]]
    refined = np.eye(3, dtype=np.float32)[[0, 0, 1, 2, 0]]
    counter.add("test", "leaf", label, raw, refined, None, 3)
    counter.add("validation", "leaf", label[:2], raw[:2], refined[:2], None, 3)
    changes = counter.changes({"leaf": np.array([True, True, False])})
    found = [(c.split, c.fitted, c.metric, c.rows, c.classes, c.before, c.after) for c in changes]
    assert found == [
        ("test", None, "ACC", 5, 3, 80, 80), ("test", None, "MACC", 5, 3, 83.3333, 83.3333),
        ("test", True, "ACC", 3, 2, 66.6667, 100), ("test", True, "MACC", 3, 2, 75, 100),
        ("test", False, "ACC", 2, 1, 100, 50), ("test", False, "MACC", 2, 1, 100, 50),
        ("validation", None, "ACC", 2, 1, 50, 100), ("validation", None, "MACC", 2, 1, 50, 100),
    ]  # fmt: skip
    only_without = counter.changes({"leaf": np.zeros(3, np.bool_)})
    assert [c.fitted for c in only_without] == [None, None, False, False] * 2
