from __future__ import annotations

import numpy as np

from prodrec.eval.audit.plant import plant
from prodrec.eval.audit.trial import audit_labels, trials_needed

from .conftest import Drawn


def test_planted_errors_come_first_and_their_proposal_is_the_true_class(clouds: Drawn) -> None:
    planted = plant(clouds.true_N, clouds.product_N, clouds.taxonomy, share=0.06, seed=11)
    advanced: list[int] = []
    audited = audit_labels(
        clouds.evidence,
        planted.labels_N,
        clouds.product_N,
        clouds.fold_N,
        clouds.taxonomy,
        head_from=50,
        advance=advanced.append,
    )
    first = np.argsort(-audited.suspicion_N)[: len(planted.rows_P)]
    assert np.isin(first, planted.rows_P).mean() > 0.85
    proposal_N = audited.candidates.class_NJ[np.arange(600), 1 + audited.probability_NJ[:, 1:].argmax(1)]
    assert (proposal_N == clouds.true_N)[planted.rows_P].mean() > 0.9
    weights = audited.weights.as_json()
    assert weights["photo"] > 5 * weights["noise"]
    assert audited.trial.found > 0.8 * audited.trial.planted > 0
    assert audited.trial.tail_found <= audited.trial.tail_planted < audited.trial.planted
    assert sum(advanced) == 600 * (trials_needed(planted.labels_N) + 1)


def test_the_same_seed_gives_the_same_audit(clouds: Drawn) -> None:
    arguments = (clouds.evidence, clouds.true_N, clouds.product_N, clouds.fold_N, clouds.taxonomy)
    one, same = (audit_labels(*arguments, head_from=50, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.suspicion_N, same.suspicion_N)


def test_large_datasets_need_one_trial() -> None:
    assert trials_needed(np.zeros(100_000, np.int64)) == 1
    assert trials_needed(np.zeros(4_000, np.int64)) == 3
    assert trials_needed(np.zeros(10, np.int64)) == 5
