from __future__ import annotations

import numpy as np

from prodrec.inference.neighbours.held_out import NEIGHBOURS, NO_VOTE, TEMPERATURE, HeldOutVote, project


def test_the_nearest_photos_of_other_groups_vote() -> None:
    """Compared with a plain loop over all photos; one photo of a group votes, and none of the own group."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups, labels = np.arange(60) // 3, random.integers(-1, 5, 60)
    made = HeldOutVote(vectors, groups, classes=5)
    made.fit(labels)
    scores = made.scores(0, np.arange(60))
    for row in range(60):
        cosine = vectors @ vectors[row]
        best = [max(np.flatnonzero(groups == group), key=lambda i: cosine[i]) for group in set(groups) - {groups[row]}]
        nearest = sorted(best, key=lambda i: -cosine[i])[:NEIGHBOURS]
        nearest = [i for i in nearest if labels[i] >= 0]
        shares = np.array([np.exp((cosine[i] - cosine[nearest[0]]) / TEMPERATURE) for i in nearest])
        votes = np.zeros(5)
        np.add.at(votes, labels[nearest], shares / shares.sum())
        np.testing.assert_allclose(scores[row], np.log(votes + NO_VOTE), atol=1e-4)


def test_projected_vectors_have_length_1() -> None:
    random = np.random.default_rng(0)
    vectors = project(random.normal(size=(50, 6)).astype(np.float16))
    assert vectors.shape == (50, 6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
