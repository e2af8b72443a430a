from __future__ import annotations

import numpy as np
import pytest

from prodrec.eval.audit import candidates
from prodrec.eval.audit.candidates import FLOOR, collect_candidates

from .conftest import LEAVES, Drawn


def test_the_label_comes_first_and_nothing_twice(clouds: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = collect_candidates(clouds.evidence, clouds.true_N, clouds.fold_N, classes=LEAVES)
    np.testing.assert_array_equal(found.class_NJ[:, 0], clouds.true_N)
    for row in found.class_NJ:
        named = row[row >= 0].tolist()
        assert len(named) == len(set(named)) >= 4
    assert (found.score_NJE[:, 0] == 0).all()
    assert found.label_NE.min() >= np.log(FLOOR) - 1e-5 and found.label_NE.max() <= np.log(1 + FLOOR) + 1e-5
    monkeypatch.setattr(candidates, "CHUNK_SCORES", 60)
    again = collect_candidates(clouds.evidence, clouds.true_N, clouds.fold_N, classes=LEAVES)
    np.testing.assert_array_equal(found.class_NJ, again.class_NJ)
    np.testing.assert_allclose(found.score_NJE, again.score_NJE, atol=1e-5)


def test_scores_are_differences_of_log_shares(clouds: Drawn) -> None:
    """The points are drawn as the scores of `photo` say: the factor is 1, and shares are the true probabilities."""
    found = collect_candidates({"photo": clouds.evidence["photo"]}, clouds.true_N, clouds.fold_N, classes=LEAVES)
    log_rows = np.log(np.bincount(clouds.true_N, minlength=LEAVES))
    raw = clouds.evidence["photo"].scores_NC + log_rows
    shares = np.exp(raw - raw.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    exact = np.log(shares[np.arange(600), clouds.true_N] + FLOOR)
    assert np.abs(found.label_NE[:, 0] - exact).mean() < 0.05


def test_rows_without_a_label_are_no_candidates(clouds: Drawn) -> None:
    labels = clouds.true_N.copy()
    labels[5] = -1
    found = collect_candidates(clouds.evidence, labels, clouds.fold_N, classes=LEAVES)
    assert 5 not in found.rows_N and len(found.rows_N) == 599
    np.testing.assert_array_equal(clouds.evidence["photo"].fitted[-1], labels)
