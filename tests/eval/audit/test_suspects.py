from __future__ import annotations

import numpy as np

from prodrec.eval.audit.candidates import Candidates
from prodrec.eval.audit.suspects import Facts, explain, rank_suspects

from .conftest import Drawn

CANDIDATES = Candidates(
    rows_N=np.array([0, 1, 2, 3]),
    class_NJ=np.array([[0, 1, 2], [0, 2, -1], [1, 0, 2], [2, 1, 0]], np.int32),
    score_NJE=np.array([[[0, 0], [3, 2], [0, 0]]] * 4, np.float32),
    label_NE=np.zeros((4, 2), np.float32),
    kinds=("photo", "title"),
)
PROBABILITIES = np.array([[0.1, 0.6, 0.3], [0.5, 0.5, 0.0], [0.9, 0.05, 0.05], [0.3, 0.4, 0.3]])
SUSPICIONS = np.array([0.9, 0.5, 0.1, 0.8])


def test_photos_of_a_product_are_averaged() -> None:
    first, second, third = rank_suspects(CANDIDATES, PROBABILITIES, SUSPICIONS, np.array([7, 7, 8, 9]), count=5)
    assert (first.row, first.label, first.proposal, first.photos) == (3, 2, 1, 1)
    # rows 0 and 1 are one product: 0.6 for class 1, and 0.3 + 0.5 for class 2
    assert (second.row, second.proposal, second.photos, second.suspicion) == (0, 2, 2, 0.7)
    assert third.row == 2
    assert len(rank_suspects(CANDIDATES, PROBABILITIES, SUSPICIONS, np.array([7, 7, 8, 9]), count=5, least=0.2)) == 2
    assert len(rank_suspects(CANDIDATES, PROBABILITIES, SUSPICIONS, np.array([7, 7, 8, 9]), count=1)) == 1


def test_reasons_name_the_evidence(clouds: Drawn) -> None:
    suspect = rank_suspects(CANDIDATES, PROBABILITIES, SUSPICIONS, np.arange(4), count=1)[0]
    facts = Facts(
        CANDIDATES,
        index_Nk=np.array([[2, 1, 3, -1]] * 4),
        labels_N=np.array([0, 0, 1, 2]),
        taxonomy=clouds.taxonomy,
        words=lambda row, first, second: ["belt", "leather"] if (row, first, second) == (0, 1, 0) else [],
        attributes=lambda *_: ["colour red"],
    )
    explained = explain(suspect, facts)
    assert explained.reasons == (
        "the photo looks like leaf 1",
        "the title has belt, leather, more frequent in leaf 1",
    )
    assert explained.near_label == (1,) and explained.near_proposal == (2,)
