from __future__ import annotations

import numpy as np

from prodrec.core.data.tables.rejects import Rejects


def test_the_first_reason_counts() -> None:
    rejected = Rejects.of(6)
    rejected.add("a", np.array([1, 2]), "same for both")
    rejected.add("b", np.array([2, 3, 5]), ["own", "unused", "too late", ""], np.array([2, 0, 3]))
    rejected.add("c", np.array([], np.int64))
    assert rejected.kept.tolist() == [0, 4]
    assert rejected.counts() == {"a": 2, "b": 2}
    assert rejected.texts.gather(rejected.detail_N).to_list() == ["", *["same for both"] * 2, "own", "", ""]
    assert [rejected.reasons[code] for code in rejected.code_N] == ["", "a", "a", "b", "", "b"]
    assert sorted(rejected.texts) == ["", "", "own", "same for both"]  # as often as they were said, not by row
    assert len(rejected.kept) + sum(rejected.counts().values()) == 6


def test_most_frequent_first() -> None:
    rejected = Rejects.of(5)
    rejected.add("rare", np.array([0]))
    rejected.add("frequent", np.array([1, 2, 3]))
    assert list(rejected.counts()) == ["frequent", "rare"]
