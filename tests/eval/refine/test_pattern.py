"""R_c of eq. 4, against the rule written out with sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine.pattern import everything, from_keys, most_related


def sets(pattern: Any) -> list[set[int]]:
    return [set(part.tolist()) for part in np.split(pattern.columns_P, pattern.bounds_n1[1:-1])]


def by_the_rule(tree: Any, w_nn: Any, k: int) -> list[set[int]]:
    found = []
    for c in range(tree.n):
        level = int(tree.level_of(np.array(c)))
        shallower = set(range(int(tree.starts_L1[level])))
        own = [s for s in range(int(tree.starts_L1[level]), int(tree.starts_L1[level + 1])) if s != c]
        closest = [c, *sorted(own, key=lambda s: (-abs(w_nn[c, s]), s))][:k]
        children = {t for t in range(tree.n) if tree.parent_n[t] in closest}
        found.append(shallower | set(closest) | children)
    return found


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 2, 3, 100])
def test_the_rule_of_equation_4(draw: Any, depth: int, k: int) -> None:
    tree = draw(depth=depth).tree
    w_nn = np.random.default_rng(1).normal(size=(tree.n, tree.n))
    found = most_related(everything(tree), w_nn.ravel(), k)
    assert sets(found) == by_the_rule(tree, w_nn, k)
    assert found.size == sum(map(len, sets(found)))
    assert all((np.diff(part) > 0).all() for part in np.split(found.columns_P, found.bounds_n1[1:-1]))


def test_a_category_is_always_in_its_own_set_and_ties_go_to_the_lower_index(draw: Any) -> None:
    tree = draw(depth=1).tree
    w_nn = np.ones((9, 9))
    np.fill_diagonal(w_nn, 0)
    assert sets(most_related(everything(tree), w_nn.ravel(), 1)) == [{c} for c in range(9)]
    assert sets(most_related(everything(tree), w_nn.ravel(), 3))[5] == {5, 0, 1}
    w_nn[5, 7] = -2
    assert sets(most_related(everything(tree), w_nn.ravel(), 2))[5] == {5, 7}


def test_everything_is_full_and_two_levels_with_all_k_too(draw: Any) -> None:
    tree = draw(depth=2).tree
    full = everything(tree)
    assert full.is_full and full.size == tree.n**2
    assert most_related(full, np.zeros(full.size), tree.n).same(full)
    assert not most_related(full, np.zeros(full.size), 1).is_full


def test_a_first_fit_inside_candidates_is_not_left(draw: Any) -> None:
    tree = draw(depth=3).tree
    random = np.random.default_rng(2)
    own = np.arange(tree.n) * tree.n + np.arange(tree.n)
    first = from_keys(tree, np.r_[own, random.integers(0, tree.n**2, 60)])
    w_nn = np.zeros((tree.n, tree.n))
    values = random.normal(size=first.size)
    w_nn[first.rows_P, first.columns_P] = values
    found = sets(most_related(first, values, 2))
    for mine, allowed, wanted in zip(found, sets(first), by_the_rule(tree, w_nn, 2), strict=True):
        assert mine <= allowed and wanted & allowed <= mine | wanted


def test_positions_of_pairs(draw: Any) -> None:
    tree = draw(depth=2).tree
    diagonal = np.arange(tree.n) * (tree.n + 1)
    found = from_keys(tree, np.r_[diagonal, 5 * tree.n + 3, 0, 5 * tree.n + 3])
    at, there = found.find(np.array([5 * tree.n + 3, 5 * tree.n + 4, tree.n**2 - 1, 0]))
    assert there.tolist() == [True, False, True, True]
    assert found.rows_P[at[0]] == 5 and found.columns_P[at[0]] == 3
    assert found.identity().sum() == tree.n
