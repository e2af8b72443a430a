"""The vote and its mixture against the equations, in plain loops.

Shapes: B photos, k neighbours, C classes, K best classes.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.inference.neighbours.vote import Vote, mix_all, mix_top_k, vote
from prodrec.models.classifier.block_top_k import TopK

B, K_NEIGHBOURS, C = 7, 5, 9
TEMPERATURE, RHO, BETA = 0.03, 0.75, 0.4


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return cosines in decreasing order, classes, and the number of training photos of every class."""
    generator = torch.Generator().manual_seed(seed)
    cosine_Bk = torch.rand(B, K_NEIGHBOURS, dtype=torch.float64, generator=generator).sort(1, descending=True).values
    class_Bk = torch.randint(C, (B, K_NEIGHBOURS), generator=generator)
    return cosine_Bk, class_Bk, torch.randint(1, 50, (C,), generator=generator)


def vote_by_loops(cosine_k: NDArray[np.float64], class_k: NDArray[np.int64], n_C: NDArray[np.int64]) -> list[float]:
    votes = [0.0] * C
    for cosine, label in zip(cosine_k, class_k, strict=True):
        if np.isfinite(cosine):
            votes[label] += n_C[label] ** -RHO * np.exp((cosine - max(cosine_k)) / TEMPERATURE)
    total = sum(votes)
    return [value / total if total else 0.0 for value in votes]


def votes_of(seed: int, missing: int = 0) -> tuple[Vote, NDArray[np.float64]]:
    """Return the vote, and by loops the vote for all classes; the last `missing` neighbours do not exist."""
    cosine_Bk, class_Bk, n_C = draw(seed)
    if missing:
        cosine_Bk[:, -missing:] = -torch.inf
    expected = [vote_by_loops(*row, n_C.numpy()) for row in zip(cosine_Bk.numpy(), class_Bk.numpy(), strict=True)]
    return vote(cosine_Bk, class_Bk, n_C[class_Bk], temperature=TEMPERATURE, rho=RHO), np.array(expected)


@pytest.mark.parametrize("missing", [0, 2, K_NEIGHBOURS])
def test_the_vote_is_that_of_the_equation(missing: int) -> None:
    votes, expected_BC = votes_of(1, missing)
    all_classes_BC = torch.arange(C).repeat(B, 1)
    np.testing.assert_allclose(votes.of(all_classes_BC).numpy(), expected_BC, rtol=1e-12)


def test_the_mixture_of_all_classes() -> None:
    votes, vote_BC = votes_of(2)
    scores_BC = torch.randn(B, C, dtype=torch.float64) * 3
    expected_BC = (1 - BETA) * scores_BC.softmax(1).numpy() + BETA * vote_BC
    np.testing.assert_allclose(mix_all(scores_BC, votes, BETA).exp().numpy(), expected_BC, rtol=1e-10)


@pytest.mark.parametrize("k", [1, 3, C])
@pytest.mark.parametrize("missing", [0, 2])
def test_the_best_classes_of_the_mixture(k: int, missing: int) -> None:
    """Also classes that the classifier's best do not contain, and neighbours that share a class."""
    votes, _ = votes_of(3, missing)
    scores_BC = torch.randn(B, C, dtype=torch.float64) * 3
    best = scores_BC.topk(k)
    also_Bk = torch.where(votes.class_Bk < 0, -torch.inf, scores_BC.gather(1, votes.class_Bk.clamp(min=0)))
    log_p_BK, classes_BK = mix_top_k(best.values, best.indices, scores_BC.logsumexp(1), also_Bk, votes, BETA)
    expected = mix_all(scores_BC, votes, BETA).topk(k)
    torch.testing.assert_close(log_p_BK, expected.values)
    assert torch.equal(classes_BK, expected.indices)


UNVOTED = torch.tensor([1, 6])


def test_classes_without_photos_keep_their_probability() -> None:
    votes, vote_BC = votes_of(6)
    votes = Vote(torch.where(torch.isin(votes.class_Bk, UNVOTED), 0, votes.class_Bk), votes.share_Bk)
    vote_BC[:, 0] += vote_BC[:, UNVOTED].sum(1)
    scores_BC = torch.randn(B, C, dtype=torch.float64) * 3
    p_BC = mix_all(scores_BC, votes, BETA, UNVOTED).exp().numpy()
    for p_C, s_C, v_C in zip(p_BC, scores_BC.softmax(1).numpy(), vote_BC, strict=True):
        voted = sum(s_C[c] for c in range(C) if c not in UNVOTED.tolist())
        for c in range(C):
            expected = s_C[c] if c in UNVOTED.tolist() else (1 - BETA) * s_C[c] + BETA * voted * v_C[c]
            assert p_C[c] == pytest.approx(expected, rel=1e-9)
        assert sum(p_C) == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 3, C])
def test_the_best_classes_with_classes_without_photos(k: int) -> None:
    votes, _ = votes_of(3, 2)
    votes = Vote(torch.where(torch.isin(votes.class_Bk, UNVOTED), 0, votes.class_Bk), votes.share_Bk)
    scores_BC = torch.randn(B, C, dtype=torch.float64) * 3
    best = scores_BC.topk(k)
    also_Bk = torch.where(votes.class_Bk < 0, -torch.inf, scores_BC.gather(1, votes.class_Bk.clamp(min=0)))
    is_unvoted_C = torch.isin(torch.arange(C), UNVOTED)
    unvoted_BC = scores_BC.masked_fill(~is_unvoted_C, -torch.inf)
    unvoted = TopK(*unvoted_BC.topk(k), unvoted_BC.logsumexp(1))
    log_p_BK, classes_BK = mix_top_k(
        best.values, best.indices, scores_BC.logsumexp(1), also_Bk, votes, BETA, is_unvoted_C, unvoted
    )
    expected = mix_all(scores_BC, votes, BETA, UNVOTED).topk(k)
    torch.testing.assert_close(log_p_BK, expected.values)
    assert torch.equal(classes_BK, expected.indices)


def test_without_any_neighbour_the_order_is_the_classifiers() -> None:
    votes, _ = votes_of(4, K_NEIGHBOURS)
    scores_BC = torch.randn(B, C, dtype=torch.float64)
    assert torch.equal(mix_all(scores_BC, votes, BETA).argsort(1), scores_BC.argsort(1))


def test_classes_of_tiny_probability_keep_their_order() -> None:
    votes, _ = votes_of(5)
    scores_BC = torch.linspace(0, -800, C).repeat(B, 1)
    log_p_BC = mix_all(scores_BC, Vote(votes.class_Bk.clamp(max=1), votes.share_Bk.float()), BETA)
    assert (log_p_BC[:, 2:].diff(dim=1) < 0).all() and torch.isfinite(log_p_BC).all()
