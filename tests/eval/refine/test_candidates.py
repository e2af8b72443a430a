"""Candidates of the first fit on top-k samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine.candidates import candidate_sets


@pytest.mark.parametrize("early", [0.0, 0.4])
def test_candidates_score_highest_in_the_samples_of_a_category(draw: Any, early: float) -> None:
    drawn = draw(depth=3, rows=60, early=early)
    top_k, tree = drawn.top_k(4), drawn.tree
    related = candidate_sets(top_k.samples, 2)
    for c in range(tree.n):
        level = int(tree.level_of(np.array(c)))
        score_sums = top_k.f_Nn[drawn.labels_NL[:, level] == c].sum(axis=0)
        expected, ancestor = {c}, int(tree.parent_n[c])
        while ancestor >= 0:
            expected.add(ancestor)
            ancestor = int(tree.parent_n[ancestor])
        for j in range(tree.depth):
            part = np.arange(tree.starts_L1[j], tree.starts_L1[j + 1])
            best = part[np.lexsort((part, -score_sums[part]))][:2]
            expected |= {int(s) for s in best if score_sums[s] > 0}
        candidates = set(related.columns_P[related.bounds_n1[c] : related.bounds_n1[c + 1]].tolist())
        assert candidates >= expected and len(candidates - expected) <= 1  # one with a sum of 0 may be among them
