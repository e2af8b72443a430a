"""Back-off: the class of the deepest level that is sure enough."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.inference.answers import Thresholds, answer
from prodrec.inference.calibration import Calibration

TREE = Taxonomy(
    ("root", "leaf"),
    (("a", "b"), tuple("pqrst")),
    (np.full(2, -1, np.int32), np.array([0, 0, 1, 1, 1], np.int32)),
)
SCORES = np.log([0.4, 0.35, 0.1, 0.1, 0.05])


def test_the_deepest_sure_level_answers() -> None:
    leaf = answer(SCORES, TREE, "leaf", Thresholds({}))
    assert (leaf.levels, leaf.path) == (("root", "leaf"), ("a", "p"))
    assert leaf.confidences == pytest.approx((0.75, 0.4)) and leaf.confidence == pytest.approx(0.4)
    root = answer(SCORES, TREE, "leaf", Thresholds({"leaf": 0.5, "root": 0.5}))
    assert (root.levels, root.path) == (("root",), ("a",)) and root.confidences == pytest.approx((0.75,))
    none = answer(SCORES, TREE, "leaf", Thresholds({"leaf": 0.5, "root": 0.8}))
    assert (none.levels, none.path, none.confidences, none.confidence) == ((), (), (), None)


def test_the_best_leaf_need_not_be_below_the_best_root() -> None:
    scores = np.log([0.36, 0.04, 0.2, 0.2, 0.2])
    assert answer(scores, TREE, "leaf", Thresholds({})).path == ("a", "p")
    assert answer(scores, TREE, "leaf", Thresholds({"leaf": 0.5})).path == ("b",)


def test_a_temperature_changes_the_probabilities() -> None:
    hot = answer(SCORES, TREE, "leaf", Thresholds({}), temperature=1e6)
    assert hot.confidences == pytest.approx((0.4, 0.2), abs=1e-4)


def test_only_the_best_of_very_many_classes_count() -> None:
    parents = (np.full(2, -1, np.int32), (np.arange(5000) % 2).astype(np.int32))
    tree = Taxonomy(("root", "leaf"), (("a", "b"), tuple(map(str, range(5000)))), parents)
    scores = np.random.default_rng(0).normal(size=5000)
    scores[4321] = 20.0
    found = answer(scores, tree, "leaf", Thresholds({}))
    assert found.path == ("b", "4321") and found.confidences == pytest.approx((1, 1), abs=1e-3)


def test_thresholds_of_options() -> None:
    known = Calibration(1.0, ("root", "leaf"), np.full((40, 2), 0.9), np.ones((40, 2), np.bool_), 0, 0)
    levels = ("root", "leaf")
    assert Thresholds.choose(levels, None, 0.3, None).by_level == {"root": 0.3, "leaf": 0.3}
    assert Thresholds.choose(levels, known, 0.95, 0.9).by_level["leaf"] == 0.95
    assert Thresholds.choose(levels, known, 0.0, 0.9).by_level["leaf"] == 0.9
    for confidence, precision, message in ((1.2, None, "--min-confidence 1.2"), (0.0, -0.1, "--precision -0.1")):
        with pytest.raises(BadOption, match=f"{message}: expected a probability"):
            Thresholds.choose(levels, known, confidence, precision)
    with pytest.raises(BadOption, match=r"needs thresholds from validation photos.*prodrec neighbours"):
        Thresholds.choose(levels, None, 0.0, 0.9)
