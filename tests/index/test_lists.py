"""Approximate search: recall is measured against exact search."""

from __future__ import annotations

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption
from prodrec.index.lists import APPROXIMATE_ABOVE, check_search, measure_lists, wants_lists

from .conftest import MakeIndex


def test_the_recall_of_some_lists(make_index: MakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodrec.index.lists.NEAREST", 5)
    table = make_index([(f"P{i}", 1) for i in range(1500)]).table
    queries_Md = table.sample_vectors(40)
    exact = table.nearest(queries_Md, 5)
    table.index_vectors()
    probes, recall, queries = measure_lists(table, queries_Md)
    found = table.nearest(queries_Md, 5, probes=probes)
    shares = [
        sum(cosine >= exact_row[-1][0] - 1e-6 for cosine, _ in row) / 5
        for row, exact_row in zip(found, exact, strict=True)
    ]
    assert recall == pytest.approx(np.mean(shares)) and recall >= 0.98 and queries == 40


def test_kinds_of_search() -> None:
    assert not wants_lists("auto", APPROXIMATE_ABOVE) and wants_lists("auto", APPROXIMATE_ABOVE + 1)
    assert wants_lists("approximate", 10) and not wants_lists("exact", 10**9)
    with pytest.raises(BadOption, match="--search fast: expected auto, exact, approximate"):
        check_search("fast")
