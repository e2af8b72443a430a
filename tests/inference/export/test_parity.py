"""Differences are those of probabilities and of features, and what the run computes has the outputs of a graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.inference.export.parity import Comparison, difference_of, outputs_of_run

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("a", "b"), ("p", "q", "r")),
    parents=(np.full(2, -1, dtype=np.int32), np.array([0, 1, 1], dtype=np.int32)),
)


def test_scores_are_compared_as_probabilities_and_features_by_their_largest_number() -> None:
    scores = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert difference_of("scores_leaf", scores + 5, scores) == pytest.approx(0)
    assert difference_of("scores_leaf", scores + np.array([[0, np.log(3)], [0, 0]]), scores) == pytest.approx(0.25)
    assert difference_of("attribute_colour", scores + 5, scores) == pytest.approx(0)
    assert difference_of("probabilities_leaf", scores + 0.1, scores) == pytest.approx(0.1)
    assert difference_of("feature", np.array([[4.0, -10.5]]), np.array([[4.0, -10.0]])) == pytest.approx(0.05)
    assert difference_of("probabilities_leaf", np.array([[np.nan, 1]]), np.array([[0.0, 1]])) == np.inf


def test_a_comparison_counts_photos_and_best_classes_over_batches() -> None:
    comparison = Comparison()
    expected = {"scores_leaf": np.array([[2.0, 1.0], [0.0, 1.0]]), "feature": np.ones((2, 3))}
    comparison.add(expected, expected)
    comparison.add({**expected, "scores_leaf": expected["scores_leaf"][:, ::-1]}, expected)
    assert comparison.photos == 4 and comparison.same_best_shares == {"scores_leaf": 0.5}
    assert comparison.largest["feature"] == 0
    assert comparison.largest_difference == comparison.largest["scores_leaf"] > 0.4


def test_the_outputs_of_a_run_have_sums_of_calibrated_probabilities() -> None:
    scored: Any = SimpleNamespace(
        features_BD=torch.ones(1, 4),
        scores={"leaf": torch.tensor([[0.0, 2.0, 4.0]])},
        attribute_scores={"colour": torch.tensor([[1.0, 0.0]])},
    )
    found = outputs_of_run(
        scored,
        np.ones((1, 4)),
        taxonomy=TREE,
        attributes=[Attribute("size", ("s",)), Attribute("colour", ("red", "blue"))],
        temperature=2.0,
    )
    p_C = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    assert list(found) == [
        "feature",
        "scores_leaf",
        "vector",
        "probabilities_root",
        "probabilities_leaf",
        "attribute_colour",
    ]
    np.testing.assert_allclose(found["probabilities_leaf"][0], p_C)
    np.testing.assert_allclose(found["probabilities_root"][0], [p_C[0], p_C[1] + p_C[2]])
