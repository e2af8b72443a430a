from __future__ import annotations

import math

import numpy as np
import torch

from prodrec.models.word_head import WordHead
from prodrec.models.word_targets import WordTargets

TARGETS = WordTargets(np.array([-1, 0, -1, 1, 2]), np.array([1.0, 2.0, 1.0], np.float32))
"""Of four words, word 2 is not predicted, and word 3 weighs twice as much as 1 and 4."""


def test_targets_share_a_title_by_weight_and_count_a_word_once() -> None:
    head = WordHead(5, TARGETS, hidden=None, weight=1.0)
    tokens_BT = torch.tensor([[1, 3, 0, 0], [4, 4, 2, 4], [2, 2, 0, 0], [0, 0, 0, 0]])
    expected = [[1 / 3, 2 / 3, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    torch.testing.assert_close(head.targets(tokens_BT), torch.tensor(expected))


def test_loss_is_the_cross_entropy_of_the_words() -> None:
    torch.manual_seed(0)
    head = WordHead(5, TARGETS, hidden=4, weight=1.0).double()
    pooled_BD = torch.randn(3, 5, dtype=torch.float64)
    tokens_BT = torch.tensor([[1, 3], [4, 2], [2, 0]])
    expected = 0.0
    for z_W, shares in zip(head(pooled_BD).tolist(), ({0: 1 / 3, 1: 2 / 3}, {2: 1.0}, {}), strict=True):
        log_sum = math.log(sum(math.exp(z) for z in z_W))
        expected -= sum(share * (z_W[word] - log_sum) for word, share in shares.items())
    assert math.isclose(head.loss(pooled_BD, tokens_BT).item(), expected / 3, rel_tol=1e-6)
    assert math.isclose(head.loss(pooled_BD, tokens_BT, n=12).item(), expected / 12, rel_tol=1e-6)


def test_a_title_without_a_word_to_predict_has_no_gradient() -> None:
    head = WordHead(5, TARGETS, hidden=None, weight=1.0)
    pooled_BD = torch.randn(2, 5, requires_grad=True)
    head.loss(pooled_BD, torch.tensor([[2, 2], [1, 0]])).backward()
    assert pooled_BD.grad is not None and pooled_BD.grad[0].eq(0).all() and pooled_BD.grad[1].ne(0).any()
