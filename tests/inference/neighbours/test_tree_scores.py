"""Scores with the probabilities of ancestors against a plain loop.

Shapes: B photos, C classes.
"""

from __future__ import annotations

import pytest
import torch

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.inference.neighbours.tree_scores import TreeScores

B = 4
TREE = Taxonomy(
    ("root", "kind", "leaf"),
    (("r", "s"), ("a", "b", "c"), ("p", "q", "t", "u", "v")),
    ((-1, -1), (1, 0, 1), (2, 0, 1, 1, 2)),
)


def draw_scores() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {level: 3 * torch.randn(B, TREE.count(level), generator=generator) for level in TREE.levels}


@pytest.mark.parametrize("levels", [("root", "kind", "leaf"), ("root", "leaf"), ("kind", "leaf"), ("root", "kind")])
def test_log_probabilities_of_ancestors_are_added(levels: tuple[str, ...]) -> None:
    scores = {level: values for level, values in draw_scores().items() if level in levels}
    total = TreeScores.of_levels(TREE, levels, 0.3).add_to(scores)
    deepest = levels[-1]
    for row in range(B):
        for index in range(TREE.count(deepest)):
            expected = scores[deepest][row, index]
            for upper in levels[:-1]:
                ancestor = TREE.ancestors_of_level(deepest, upper)[index]
                expected = expected + 0.3 * scores[upper][row].softmax(0)[ancestor].log()
            torch.testing.assert_close(total[deepest][row, index], expected)
    assert list(total) == list(levels)
    assert all(torch.equal(total[upper], scores[upper]) for upper in levels[:-1])


def test_probabilities_are_a_product_of_experts() -> None:
    scores = draw_scores()
    p_BC = TreeScores.of_levels(TREE, TREE.levels, 1.0).add_to(scores)["leaf"].softmax(1)
    root_BC, kind_BC = (
        scores[level].softmax(1)[:, TREE.ancestors_of_level("leaf", level)] for level in TREE.levels[:2]
    )
    product_BC = scores["leaf"].softmax(1) * root_BC * kind_BC
    torch.testing.assert_close(p_BC, product_BC / product_BC.sum(1, keepdim=True))
