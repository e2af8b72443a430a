from __future__ import annotations

import numpy as np

from prodrec.eval.audit.duplicates import nearly_equal


def test_a_pair_is_listed_once_the_most_similar_first() -> None:
    cosine = np.array([[0.98, 0.5], [0.98, 0.99], [0.99, 0.1], [0.3, -np.inf]], np.float32)
    index = np.array([[1, 2], [0, 2], [1, 0], [0, 0]])
    pairs = nearly_equal(cosine, index, np.arange(4))
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 2), (0, 1)]
    assert nearly_equal(cosine[3:], index[3:], np.array([3])) == []
