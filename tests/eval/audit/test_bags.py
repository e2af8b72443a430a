from __future__ import annotations

import math

import numpy as np

from prodrec.core.base.ragged import Ragged
from prodrec.eval.audit.bags import PRIOR_WORDS, HeldOutBags

BAGS = [[0, 1, 1], [0, 2], [3], [1, 3], [2, 3], []]
LABELS = np.array([0, 0, 1, 1, -1, 1])
FOLDS = np.array([0, 1, 0, 1, 0, 1])


def bags() -> HeldOutBags:
    values = np.array([word for words in BAGS for word in words], np.int32)
    made = HeldOutBags(Ragged.from_lengths(values, np.array([len(words) for words in BAGS])), FOLDS, words=4, classes=3)
    made.fit(LABELS)
    return made


def log_probability(words: set[int], leaf: int, fold: int) -> float:
    """Σ_w log((n_cw + α p_w) / (n_c + α)) − Σ_w log(α p_w), from the rows of the other folds."""
    rows = [set(BAGS[i]) for i in range(len(BAGS)) if FOLDS[i] != fold and LABELS[i] >= 0]
    own = [set(BAGS[i]) for i in range(len(BAGS)) if FOLDS[i] != fold and LABELS[i] == leaf]
    total = sum(map(len, rows))
    result = -len(words) * math.log(sum(map(len, own)) + PRIOR_WORDS)
    for word in words:
        share = sum(word in row for row in rows) / total
        if share:
            result += math.log1p(sum(word in row for row in own) / (PRIOR_WORDS * share))
    return result


def test_scores_are_naive_bayes_of_the_other_folds() -> None:
    made = bags()
    for fold in (0, 1):
        rows = np.flatnonzero(fold == FOLDS)
        expected = [[log_probability(set(BAGS[row]), leaf, fold) for leaf in range(3)] for row in rows]
        np.testing.assert_allclose(made.scores(fold, rows), expected, rtol=1e-5)
    assert (made.scores(1, np.array([5])) == 0).all()  # a title without words says nothing


def test_telling_words_are_those_that_the_first_class_has_more_often() -> None:
    assert [word for word, _ in bags().telling_words(0, 4, 1, 0)] == [3]
    assert bags().telling_words(0, 4, 0, 1)[0][0] == 2
