"""Choose the operating points of a run on its validation photos.

The candidates are the grid of k, T, ρ, β and τ below. *natural* maximises the top-1 accuracy over the photos, and
*balanced* the mean of two accuracies: over photos, which count less the more photos their class has, and over classes.
A candidate replaces the default only if it is clearly better (STANDARD_ERRORS): with few photos, or none, the defaults
remain.

Shapes: M validation photos, k nearest training photos, K the largest number of these, T values of τ, A values of β,
J = k + 2 classes that can be the best one of a photo.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prodrec.core.base import dist
from prodrec.core.base.top_k_options import TopKOptions
from prodrec.core.base.turns import gather_in_turn
from prodrec.inference.neighbours.operating_points import (
    BALANCED,
    NATURAL,
    PLAIN_POINT,
    OperatingPoint,
    OperatingPoints,
)
from prodrec.inference.neighbours.seen import NEIGHBOURS, SeenBatch
from prodrec.inference.neighbours.vote import vote

if TYPE_CHECKING:
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.protocols import FusibleNetwork

TAUS = (0.0, 0.25, 0.5, 0.75, 1.0)
BETAS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.85)
TEMPERATURES = (0.02, 0.03, 0.05, 0.1)
RHOS = (0.0, 0.25, 0.5, 0.75, 1.0)
BALANCED_PHOTOS = 20
"""Photos that a class has in the balanced accuracy: those of a class with more of them count less."""
STANDARD_ERRORS = 2.0
"""Standard errors of the paired difference by which a candidate must be better than the default to replace it."""
MAX_SCORES = 2 * 10**9
"""Largest number of scores that are computed for each τ; with very many classes, fewer photos are used."""
MAX_PHOTOS = 20_000


@dataclass(frozen=True)
class Observations:
    """What the choice needs of every validation photo.

    label_M:              class at the level
    best_MT, best_class_MT: largest log-softmax at every τ of TAUS, and its class
    plain_class_M:        best class of the scores without adjustment
    neighbour_MTK:        log-softmax of the neighbours' classes at every τ; −∞ for a neighbour that does not exist
    cosine_MK, class_MK:  neighbours
    count_MK:             n_c of the neighbours' classes
    voted_MT:             S, the probability of the classes that can have votes
    unvoted_MT, unvoted_class_MT: largest log-softmax of the other classes, and its class; −∞ if there is none

    K is 0 without neighbours.
    """

    label_M: Tensor
    best_MT: Tensor
    best_class_MT: Tensor
    plain_class_M: Tensor
    neighbour_MTK: Tensor
    cosine_MK: Tensor
    class_MK: Tensor
    count_MK: Tensor
    voted_MT: Tensor
    unvoted_MT: Tensor
    unvoted_class_MT: Tensor


def limit_rows(rows_M: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the rows on which to choose, ascending: all, or a random part if there are too many."""
    limit = max(1, min(MAX_PHOTOS, MAX_SCORES // max(1, classes)))
    if len(rows_M) <= limit:
        return rows_M
    return np.sort(np.random.default_rng(0).choice(rows_M, limit, replace=False))


def observe(
    network: FusibleNetwork,
    seen: Sequence[SeenBatch],
    *,
    level: str,
    neighbours: Neighbours | None,
    autocast: AbstractContextManager[Any] | None = None,
) -> Observations | None:
    """Return the observations of all ranks on rank 0, and None on the others; all ranks must call this.

    seen:       what the network sees in the photos of this rank, with the same neighbours
    neighbours: those that vote; None if none do
    """

    def observed(batch: SeenBatch) -> list[Tensor]:
        return [values.cpu() for values in _observe_batch(network, batch, level, neighbours)]

    with torch.inference_mode(), autocast or nullcontext():
        parts = list(gather_in_turn(map(observed, seen), own=sum(batch.is_own for batch in seen)))
    if not dist.is_main():
        return None
    return Observations(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _observe_batch(
    network: FusibleNetwork, batch: SeenBatch, level: str, neighbours: Neighbours | None
) -> tuple[Tensor, ...]:
    features, nearest = batch.fused
    device = batch.label_B.device
    cosine_BK = torch.zeros((len(batch), 0), device=device)
    class_BK = count_BK = torch.zeros((len(batch), 0), dtype=torch.int64, device=device)
    also_BK = is_unvoted_C = None
    if neighbours is not None and nearest is not None:
        cosine_BK, class_BK = nearest.cosine_Bk, neighbours.class_N[nearest.index_Bk]
        count_BK = neighbours.count_C[class_BK]
        is_unvoted_C = neighbours.is_unvoted_C
        also_BK = torch.where(cosine_BK > -torch.inf, class_BK, -1)
    best, classes, others, voted, unvoted, unvoted_classes = [], [], [], [], [], []
    for tau in TAUS:
        options = TopKOptions(logsumexp=True, also_BJ=also_BK, among_C=is_unvoted_C)
        top: Any = network.top_k_of(features, 1, tau=tau, options=options)
        best.append(top.scores[level][:, 0] - top.logsumexp_B)
        classes.append(top.classes[level][:, 0])
        others.append(cosine_BK if top.also_BJ is None else top.also_BJ - top.logsumexp_B.unsqueeze(1))
        if top.among is None:
            voted.append(torch.ones_like(best[-1]))
            unvoted.append(torch.full_like(best[-1], -torch.inf))
            unvoted_classes.append(torch.zeros_like(classes[-1]))
        else:
            voted.append(-torch.expm1(top.among.logsumexp_B - top.logsumexp_B))
            unvoted.append(top.among.scores_BK[:, 0] - top.logsumexp_B)
            unvoted_classes.append(top.among.classes_BK[:, 0])
    plain: Any = network.top_k_of(features, 1)
    return (
        batch.label_B,
        torch.stack(best, 1),
        torch.stack(classes, 1),
        plain.classes[level][:, 0],
        torch.stack(others, 1),
        cosine_BK,
        class_BK,
        count_BK,
        torch.stack(voted, 1),
        torch.stack(unvoted, 1),
        torch.stack(unvoted_classes, 1),
    )


def choose(
    observations: Observations | None,
    *,
    with_neighbours: bool,
    with_titles: bool = False,
    betas: Sequence[float] = BETAS,
) -> OperatingPoints:
    """Return the operating points with the best accuracies; the defaults without observations.

    with_titles: the observations were scored with titles
    betas:       candidates for β; a single one replaces that of the defaults
    """
    defaults = OperatingPoints.defaults(with_neighbours=with_neighbours, with_titles=with_titles)
    if len(betas) == 1:
        voting = {name: replace(point, beta=betas[0]) for name, point in defaults.with_neighbours.items()}
        defaults = replace(defaults, with_neighbours=voting)
    if observations is None:
        return defaults
    measure = _Measures(observations.label_M)
    chosen: dict[bool, dict[str, OperatingPoint]] = {True: {}, False: {}}
    for votes in (True, False) if with_neighbours else (False,):
        candidates = _candidates(observations, betas if votes else ())
        correct = {point: class_M == observations.label_M for point, class_M in candidates}
        for name in (NATURAL, BALANCED):
            default = replace(defaults.choose(name, neighbours=votes), name="")
            chosen[votes][name] = replace(measure.best(name, correct, default), name=name)
    points = [(False, PLAIN_POINT), *((flag, point) for flag, by_name in chosen.items() for point in by_name.values())]
    table = [
        {"name": point.name, "neighbours": flag, **measure.accuracies(_predict(observations, point))}
        for flag, point in points
    ]
    return OperatingPoints(chosen[True], chosen[False], tuple(table), len(observations.label_M))


def _candidates(observations: Observations, betas: Sequence[float]) -> Iterable[tuple[OperatingPoint, Tensor]]:
    """Yield every candidate with the classes that it predicts [M]. Without `betas`, neighbours do not vote."""
    if not betas:
        for tau in TAUS:
            point = OperatingPoint("", tau=tau)
            yield point, _predict(observations, point)
        return
    for k, temperature, rho in itertools.product(NEIGHBOURS, TEMPERATURES, RHOS):
        votes = _Votes(observations, k, temperature, rho)
        for tau in TAUS:
            for beta, class_M in zip(betas, votes.predict(tau, betas), strict=True):
                yield OperatingPoint("", tau, beta, k, temperature, rho), class_M


def _predict(observations: Observations, point: OperatingPoint) -> Tensor:
    """Return the classes that an operating point predicts [M]."""
    if point.tau is None:
        return observations.plain_class_M
    if not point.beta:
        return observations.best_class_MT[:, TAUS.index(point.tau)]
    votes = _Votes(observations, point.neighbours, point.temperature, point.rho)
    return votes.predict(point.tau, (point.beta,))[0]


class _Votes:
    """The votes for the candidate classes of every photo, for one k, T and ρ."""

    def __init__(self, observations: Observations, k: int, temperature: float, rho: float) -> None:
        self.observations = observations
        self.k = k
        self.votes = vote(
            observations.cosine_MK[:, :k],
            observations.class_MK[:, :k],
            observations.count_MK[:, :k],
            temperature=temperature,
            rho=rho,
        )
        self.of_neighbours_Mk = self.votes.of(self.votes.class_Bk)

    def predict(self, tau: float, betas: Sequence[float]) -> Tensor:
        """Return, for each of A values of β, the classes with the largest p [A, M].

        They are the best of all, of the neighbours', or of those without photos, which have no part in the mixture.
        """
        o, t = self.observations, TAUS.index(tau)
        best_class_M1, voted_M1 = o.best_class_MT[:, t : t + 1], o.voted_MT[:, t : t + 1]
        class_MJ = torch.cat([best_class_M1, self.votes.class_Bk, o.unvoted_class_MT[:, t : t + 1]], 1)
        unvoted_M1 = o.unvoted_MT[:, t : t + 1].exp()
        softmax_MJ = torch.cat([o.best_MT[:, t : t + 1].exp(), o.neighbour_MTK[:, t, : self.k].exp(), unvoted_M1], 1)
        vote_MJ = torch.cat([self.votes.of(best_class_M1), self.of_neighbours_Mk], 1)
        vote_MJ = torch.cat([voted_M1 * vote_MJ, unvoted_M1], 1)
        beta_A11 = softmax_MJ.new_tensor(betas)[:, None, None]
        position_AM1 = ((1 - beta_A11) * softmax_MJ + beta_A11 * vote_MJ).argmax(2, keepdim=True)
        return class_MJ.expand(len(betas), -1, -1).gather(2, position_AM1)[..., 0]


class _Measures:
    """The accuracies of predicted classes.

    Every measure is a weighted mean over the photos, so that differences of two candidates have a standard error.
    """

    def __init__(self, label_M: Tensor) -> None:
        self.label_M = label_M
        count_M = torch.bincount(label_M)[label_M].double()
        over_classes_M = 1 / count_M
        balanced_M = count_M.clamp(max=BALANCED_PHOTOS) / count_M
        self.weights_M = {
            NATURAL: torch.full_like(count_M, 1 / len(label_M)),
            BALANCED: (balanced_M / balanced_M.sum() + over_classes_M / over_classes_M.sum()) / 2,
            "macc": over_classes_M / over_classes_M.sum(),
        }

    def best(self, name: str, correct: Mapping[OperatingPoint, Tensor], default: OperatingPoint) -> OperatingPoint:
        """Return the candidate with the best measure, or the default if that is not clearly worse.

        correct: for each candidate, whether its prediction for every photo is right, bool [M]
        """
        weight_M = self.weights_M[name]
        best = max(correct, key=lambda point: float(weight_M[correct[point]].sum()))
        difference_M = weight_M * (correct[best].double() - correct[default].double())
        standard_error = float((difference_M**2).sum()) ** 0.5  # if the two were equally good
        return best if float(difference_M.sum()) > STANDARD_ERRORS * standard_error else default

    def accuracies(self, classes_M: Tensor) -> dict[str, float]:
        """Return the top-1 accuracy over photos and over classes, and the balanced measure."""
        correct_M = (classes_M == self.label_M).double()
        top1, balanced, macc = (float(self.weights_M[name] @ correct_M) for name in (NATURAL, BALANCED, "macc"))
        return {"top1": top1, "macc": macc, "balanced": balanced}
