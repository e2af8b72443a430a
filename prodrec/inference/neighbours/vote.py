"""The vote of the nearest training photos, and its mixture with the probabilities of the classifier.

Shapes: B photos, k neighbours, C classes, K best classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from prodrec.inference.neighbours.protocols import BestAmong


class Vote(NamedTuple):
    """The share of the vote of every neighbour's class; a class has the sum of the shares of its neighbours.

    class_Bk: int64, -1 for a neighbour that does not exist
    share_Bk: float32; a row sums to 1, or to 0 if there is no neighbour
    """

    class_Bk: Tensor
    share_Bk: Tensor

    def of(self, class_BJ: Tensor) -> Tensor:
        """Return the vote v for some classes of every photo, B×J."""
        is_class_BJk = class_BJ.unsqueeze(2) == self.class_Bk.unsqueeze(1)
        return (is_class_BJk * self.share_Bk.unsqueeze(1)).sum(2)


def vote(cosine_Bk: Tensor, class_Bk: Tensor, count_Bk: Tensor, *, temperature: float, rho: float) -> Vote:
    """Return the vote of the neighbours.

    cosine_Bk: cosines in decreasing order; −∞ for a neighbour that does not exist
    class_Bk:  their classes
    count_Bk:  numbers of training photos of these classes, that is n_c
    """
    exists_Bk = cosine_Bk > -torch.inf
    weight_Bk = (
        torch.exp((cosine_Bk - cosine_Bk[:, :1]) / temperature) * count_Bk.to(cosine_Bk.dtype).clamp(min=1) ** -rho
    )
    weight_Bk = torch.where(exists_Bk, weight_Bk, 0)
    share_Bk = weight_Bk / weight_Bk.sum(1, keepdim=True).clamp(min=torch.finfo(weight_Bk.dtype).tiny)
    return Vote(torch.where(exists_Bk, class_Bk, -1), share_Bk)


def mix_all(scores_BC: Tensor, votes: Vote, beta: float, unvoted_U: Tensor | None = None) -> Tensor:
    """Return log p of all classes, from the scores of all classes.

    unvoted_U: the classes for which no photo can vote
    """
    vote_BC = torch.zeros_like(scores_BC).scatter_add_(1, votes.class_Bk.clamp(min=0), votes.share_Bk)
    log_softmax_BC = scores_BC.log_softmax(1)
    if unvoted_U is None or not len(unvoted_U):
        return _mix(log_softmax_BC, vote_BC, beta)
    log_share_B1 = log_voted_share(log_softmax_BC[:, unvoted_U].logsumexp(1, keepdim=True))
    return _mix(log_softmax_BC, vote_BC, beta, log_share_B1).index_copy(1, unvoted_U, log_softmax_BC[:, unvoted_U])


def log_voted_share(log_unvoted_B1: Tensor) -> Tensor:
    """Return log S from the log-probability of all classes together for which no photo can vote."""
    return (-torch.expm1(log_unvoted_B1)).clamp(min=torch.finfo(log_unvoted_B1.dtype).tiny).log()


def mix_top_k(
    scores_BK: Tensor,
    classes_BK: Tensor,
    logsumexp_B: Tensor,
    also_Bk: Tensor,
    votes: Vote,
    beta: float,
    is_unvoted_C: Tensor | None = None,
    unvoted: BestAmong | None = None,
) -> tuple[Tensor, Tensor]:
    """Return log p of the K best classes, in decreasing order, and these classes.

    scores_BK, classes_BK: the K best classes of the classifier
    logsumexp_B:           log Σ_c exp(score_c) over all classes
    also_Bk:               scores of the neighbours' classes; −∞ for a neighbour that does not exist
    is_unvoted_C, unvoted: the classes for which no photo can vote, and the K best of them

    A class that can have votes and is neither among the K best nor a neighbour's cannot be among the K best of p: it
    has no vote, and a smaller probability than K others. A class that can have none has the probability of the
    classifier, so it must be among the K best of its kind. If a level has fewer than K classes, K is their number.
    """
    position_k = torch.arange(votes.class_Bk.shape[1], device=scores_BK.device)
    is_first_Bk = (votes.class_Bk.unsqueeze(2) == votes.class_Bk.unsqueeze(1)).int().argmax(2) == position_k
    is_new_Bk = is_first_Bk & ~(votes.class_Bk.unsqueeze(2) == classes_BK.unsqueeze(1)).any(2) & (votes.class_Bk >= 0)
    log_softmax_BK, log_share_B1 = scores_BK - logsumexp_B.unsqueeze(1), None
    if unvoted is not None:
        assert unvoted.logsumexp_B is not None
        log_share_B1 = log_voted_share((unvoted.logsumexp_B - logsumexp_B).unsqueeze(1))
    log_p_BK = _mix(log_softmax_BK, votes.of(classes_BK), beta, log_share_B1)
    log_p_Bk = _mix(also_Bk - logsumexp_B.unsqueeze(1), votes.of(votes.class_Bk), beta, log_share_B1)
    log_p_BJ = torch.cat([log_p_BK, log_p_Bk.masked_fill(~is_new_Bk, -torch.inf)], dim=1)
    class_BJ = torch.cat([classes_BK, votes.class_Bk], dim=1)
    if is_unvoted_C is not None and unvoted is not None:
        log_p_BJ = log_p_BJ.masked_fill(is_unvoted_C[class_BJ.clamp(min=0)], -torch.inf)
        log_p_BJ = torch.cat([log_p_BJ, unvoted.scores_BK - logsumexp_B.unsqueeze(1)], dim=1)
        class_BJ = torch.cat([class_BJ, unvoted.classes_BK], dim=1)
    best = log_p_BJ.topk(scores_BK.shape[1], dim=1)
    return best.values, class_BJ.gather(1, best.indices)


def _mix(log_softmax_BJ: Tensor, vote_BJ: Tensor, beta: float, log_share_B1: Tensor | None = None) -> Tensor:
    """Return log((1 − β) softmax + β S v), without underflow; S is 1 if `log_share_B1` is None."""
    log_vote_BJ = (beta * vote_BJ).log()
    if log_share_B1 is not None:
        log_vote_BJ = log_vote_BJ + log_share_B1
    return torch.logaddexp(log_softmax_BJ + math.log1p(-beta), log_vote_BJ)
