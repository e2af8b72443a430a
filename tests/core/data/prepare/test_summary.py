"""What the titles of a leaf say."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base import ragged
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.prepare.summary import _leaves_with_one_title


@pytest.mark.parametrize("chunk_rows", [2, 1000])
def test_leaves_whose_titles_are_all_the_same(monkeypatch: pytest.MonkeyPatch, chunk_rows: int) -> None:
    monkeypatch.setattr(ragged, "CHUNK_ROWS", chunk_rows)
    titles = {
        0: [[1, 2], [2, 1], [1, 2]],
        1: [[1, 2], [1, 3]],
        2: [[4], [4], []],
        3: [[5]],
        4: [[], []],
        -1: [[6], [6]],
    }
    rows = [(leaf, words) for leaf, several in titles.items() for words in several]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    values = np.concatenate([np.array(words, np.int32) for _, words in rows])
    tokens = Ragged.from_lengths(values, np.array([len(words) for _, words in rows]))
    leaf_N = np.array([leaf for leaf, _ in rows], np.int32)
    assert _leaves_with_one_title(tokens, leaf_N) == {"leaves": 2, "rows": 5}
    nothing = Ragged.from_lengths(np.zeros(0, np.int32), np.zeros(3, np.int64))
    assert _leaves_with_one_title(nothing, np.zeros(3, np.int32)) == {"leaves": 0, "rows": 0}
