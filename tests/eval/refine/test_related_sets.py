"""R_c of eq. 4, compared with the rule written with Python sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodrec.eval.refine.related_sets import RelatedSets, select_related


def as_sets(related: RelatedSets) -> list[set[int]]:
    return [set(part.tolist()) for part in np.split(related.columns_P, related.bounds_n1[1:-1])]


def by_the_rule(tree: Any, w_nn: Any, k: int) -> list[set[int]]:
    sets = []
    for c in range(tree.n):
        level = int(tree.level_of(np.array(c)))
        shallower = set(range(int(tree.starts_L1[level])))
        others = [s for s in range(int(tree.starts_L1[level]), int(tree.starts_L1[level + 1])) if s != c]
        top_k = [c, *sorted(others, key=lambda s: (-abs(w_nn[c, s]), s))][:k]
        children = {t for t in range(tree.n) if tree.parent_n[t] in top_k}
        sets.append(shallower | set(top_k) | children)
    return sets


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 2, 3, 100])
def test_the_rule_of_equation_4(draw: Any, depth: int, k: int) -> None:
    tree = draw(depth=depth).tree
    w_nn = np.random.default_rng(1).normal(size=(tree.n, tree.n))
    related = select_related(RelatedSets.all_categories(tree), w_nn.ravel(), k)
    assert as_sets(related) == by_the_rule(tree, w_nn, k)
    assert related.weight_count == sum(map(len, as_sets(related)))
    assert all((np.diff(part) > 0).all() for part in np.split(related.columns_P, related.bounds_n1[1:-1]))


def test_a_category_is_always_in_its_own_set_and_ties_go_to_the_lower_number(draw: Any) -> None:
    tree = draw(depth=1).tree
    complete, w_nn = RelatedSets.all_categories(tree), np.ones((9, 9))
    np.fill_diagonal(w_nn, 0)
    assert as_sets(select_related(complete, w_nn.ravel(), 1)) == [{c} for c in range(9)]
    assert as_sets(select_related(complete, w_nn.ravel(), 3))[5] == {5, 0, 1}
    w_nn[5, 7] = -2
    assert as_sets(select_related(complete, w_nn.ravel(), 2))[5] == {5, 7}


def test_all_categories_are_complete_and_so_are_two_levels_with_the_largest_k(draw: Any) -> None:
    tree = draw(depth=2).tree
    complete = RelatedSets.all_categories(tree)
    assert complete.is_complete and complete.weight_count == tree.n**2
    assert select_related(complete, np.zeros(complete.weight_count), tree.n).equals(complete)
    assert not select_related(complete, np.zeros(complete.weight_count), 1).is_complete


def test_the_selection_stays_within_the_sets_of_the_first_fit(draw: Any) -> None:
    tree = draw(depth=3).tree
    random = np.random.default_rng(2)
    diagonal = np.arange(tree.n) * tree.n + np.arange(tree.n)
    first = RelatedSets.from_pairs(tree, np.r_[diagonal, random.integers(0, tree.n**2, 60)])
    w_nn = np.zeros((tree.n, tree.n))
    weights_P = random.normal(size=first.weight_count)
    w_nn[first.rows_P, first.columns_P] = weights_P
    selected = as_sets(select_related(first, weights_P, 2))
    for chosen, allowed, expected in zip(selected, as_sets(first), by_the_rule(tree, w_nn, 2), strict=True):
        assert chosen <= allowed and expected & allowed <= chosen | expected


def test_positions_of_pairs(draw: Any) -> None:
    tree = draw(depth=2).tree
    diagonal = np.arange(tree.n) * (tree.n + 1)
    related = RelatedSets.from_pairs(tree, np.r_[diagonal, 5 * tree.n + 3, 0, 5 * tree.n + 3])
    position, exists = related.find(np.array([5 * tree.n + 3, 5 * tree.n + 4, tree.n**2 - 1, 0]))
    assert exists.tolist() == [True, False, True, True]
    assert related.rows_P[position[0]] == 5 and related.columns_P[position[0]] == 3
    assert related.identity_P().sum() == tree.n
