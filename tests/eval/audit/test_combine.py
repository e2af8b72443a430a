from __future__ import annotations

import numpy as np

from prodrec.eval.audit.combine import ClassFacts, fit_weights

from .conftest import Drawn


def test_weights_are_those_that_drew_the_classes() -> None:
    random = np.random.default_rng(1)
    columns = random.normal(size=(20_000, 4, 3))
    true_weights = np.array([1.5, 0.0, -0.7])
    scores = columns @ true_weights
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    drawn = (shares.cumsum(1) < random.random((20_000, 1))).sum(1)
    weights = fit_weights(columns, np.ones((20_000, 4), bool), drawn, positive=0)
    np.testing.assert_allclose(weights, true_weights, atol=0.05)
    at_least_zero = fit_weights(columns, np.ones((20_000, 4), bool), drawn, positive=3)
    assert at_least_zero[2] == 0 and abs(at_least_zero[0] - 1.5) < 0.3


def test_candidates_that_do_not_exist_do_not_count() -> None:
    random = np.random.default_rng(2)
    columns = random.normal(size=(500, 3, 2))
    drawn = columns[:, :2, 0].argmax(1)
    exists = np.array([True, True, False])[None].repeat(500, 0)
    expected = fit_weights(columns[:, :2], exists[:, :2], drawn, positive=0)
    np.testing.assert_allclose(fit_weights(columns, exists, drawn, positive=0), expected, rtol=0.05)


def test_distance_is_the_share_of_different_levels(clouds: Drawn) -> None:
    facts = ClassFacts.of(clouds.taxonomy, clouds.true_N)
    assert facts.distance(np.array([0, 0, 0]), np.array([0, 1, 2])).tolist() == [0, 0.5, 1]
