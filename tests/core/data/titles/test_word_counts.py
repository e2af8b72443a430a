from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.ragged import Ragged
from prodrec.core.data.titles import word_counts
from prodrec.core.data.titles.word_counts import titles_with_word, words_per_title

TITLES = [[2, 1, 2], [], [4], [1, 1, 1, 4], [3]]


@pytest.mark.parametrize("titles_at_once", [1, 2, 100])
def test_a_word_counts_once_in_a_title(titles_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_counts, "TITLES_AT_ONCE", titles_at_once)
    values = np.array([word for title in TITLES for word in title], np.int32)
    tokens = Ragged.from_lengths(values, np.array([len(title) for title in TITLES]))
    rows = np.array([0, 1, 2, 3])
    chosen = [set(TITLES[row]) for row in rows]
    expected = [0, *(sum(word in title for title in chosen) for word in range(1, 6))]
    assert titles_with_word(tokens, rows, words=5).tolist() == expected
    counts_V = np.array([False, True, False, True, True, True])
    assert words_per_title(tokens, rows, counts_V).tolist() == [len(title - {2}) for title in chosen]
