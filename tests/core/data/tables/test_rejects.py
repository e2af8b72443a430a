from __future__ import annotations

import numpy as np

from prodrec.core.data.tables.rejects import Rejects


def test_a_row_keeps_its_first_reason() -> None:
    rejected = Rejects.for_rows(6)
    rejected.add("a", np.array([1, 2]), "same for both")
    rejected.add("b", np.array([2, 3, 5]), ["own", "unused", "too late", ""], np.array([2, 0, 3]))
    rejected.add("c", np.array([], np.int64))
    assert rejected.kept_rows.tolist() == [0, 4]
    assert rejected.counts() == {"a": 2, "b": 2}
    assert rejected.details.gather(rejected.detail_M).to_list() == ["", *["same for both"] * 2, "own", "", ""]
    assert [rejected.reasons[code] for code in rejected.reason_M] == ["", "a", "a", "b", "", "b"]
    assert sorted(rejected.details) == ["", "", "own", "same for both"]  # one text per detail, not per row
    assert len(rejected.kept_rows) + sum(rejected.counts().values()) == 6


def test_most_frequent_first() -> None:
    rejected = Rejects.for_rows(5)
    rejected.add("rare", np.array([0]))
    rejected.add("frequent", np.array([1, 2, 3]))
    assert list(rejected.counts()) == ["frequent", "rare"]
