"""Fit W for one λ: first with R_c = Ω, then within the sets R_c that the first weights select.

    W* = argmin_W −Σ_i Σ_j log P(true category of sample i at level j | W) + λ‖W‖²         S eq. 3

The penalty is λ‖W − I‖² by default (see the package docstring). The loss is summed over samples, not averaged: with
more samples, the same λ is a weaker penalty.

Shapes: P weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine import dense_level_loss, top_k_loss
from prodrec.eval.refine.candidates import candidate_sets
from prodrec.eval.refine.dense_related_loss import RelatedLoss
from prodrec.eval.refine.dense_samples import DenseSamples
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.related_sets import RelatedSets, select_related
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.solver import Loss, SolverResult, minimise
from prodrec.eval.refine.top_k_samples import TopKSamples
from prodrec.eval.refine.tree import Tree

Samples = DenseSamples | TopKSamples
OnStep = Callable[[int, float], None]

FIRST_TOLERANCE = 1e-5
"""Fraction of the objective. The first fit only has to order the weights by magnitude, which needs less precision."""


@dataclass
class FitResult:
    """A fitted model, and the solver's result for every part of the loss.

    first: the model of the first fit, whose weights are the starting point at the next λ.
    """

    model: MCRModel
    solver: list[SolverResult]
    first: MCRModel | None = None

    @property
    def status(self) -> str:
        """The worst solver status: "iterations" is worse than "stuck", which is worse than "converged"."""
        return max((result.status for result in self.solver), key=("converged", "stuck", "iterations").index)


def split_loss(
    samples: Samples, related: RelatedSets, normaliser: str, covered_n: NDArray[np.bool_] | None = None
) -> Sequence[tuple[slice, Loss]]:
    """Return the independent parts of the loss, each with the range of the weights that it depends on.

    covered_n: the categories in the softmax of the normaliser "level", with every label of the samples; None is all
    """
    all_weights = slice(0, related.weight_count)
    if isinstance(samples, DenseSamples):
        if normaliser == "level":
            return dense_level_loss.level_losses(samples, related, covered_n)
        return [(all_weights, RelatedLoss(samples, related))]
    if normaliser == "level":
        return top_k_loss.level_losses(samples, related, covered_n)
    return [(all_weights, top_k_loss.related_loss(samples, related))]


def fit(
    samples: Samples,
    related: RelatedSets,
    settings: MCRSettings,
    lambda_: float,
    *,
    start_P: NDArray[np.float64] | None = None,
    on_step: OnStep | None = None,
    **solver_options: Any,
) -> FitResult:
    """Minimise S eq. 3 over the weights within `related`.

    start_P:        weights to start from; by default those at which the penalty is 0.
    solver_options: options of `minimise` that replace those of the settings.
    """
    identity_P = related.identity_P()
    target_P = identity_P if settings.penalty == "identity" else np.zeros_like(identity_P)
    weights_P, results = np.empty_like(target_P), []
    covered_n = samples.category_counts(related.tree.n) > 0
    for part, loss in split_loss(samples, related, settings.normaliser, covered_n):
        result = minimise(
            loss,
            lambda_=lambda_,
            target_P=target_P[part],
            start_P=None if start_P is None else start_P[part],
            on_step=on_step,
            **{"tolerance": settings.tolerance, "iterations": settings.iterations, **solver_options},
        )
        weights_P[part] = result.weights_P
        results.append(result)
    model = MCRModel(related, weights_P, settings.normaliser, isinstance(samples, TopKSamples), covered_n)
    return FitResult(model, results)


def fit_with_selection(
    samples: Samples,
    tree: Tree,
    settings: MCRSettings,
    lambda_: float,
    *,
    previous: FitResult | None = None,
    on_step: OnStep | None = None,
) -> FitResult:
    """Fit with R_c = Ω, select R_c by S eq. 4, and fit again within R_c. With K = "all", the first fit is the result.

    On top-k samples, the first fit uses the candidates of each category instead of Ω.

    previous: a result for the same samples at another λ. The first fit starts from its weights.
    """
    if previous is not None and previous.first is not None:
        related, start_P = previous.first.related, previous.first.weights_P
    elif isinstance(samples, DenseSamples):
        related, start_P = RelatedSets.all_categories(tree), None
    else:
        related, start_P = candidate_sets(samples, settings.candidates), None
    k = settings.effective_k
    tolerance = settings.tolerance if k is None else max(settings.tolerance, FIRST_TOLERANCE)
    first = fit(samples, related, settings, lambda_, start_P=start_P, on_step=on_step, tolerance=tolerance)
    if k is None:
        return FitResult(first.model, first.solver, first.model)
    selected = select_related(related, first.model.weights_P, k)
    start_P = first.model.weights_P[related.find(selected.pairs_P)[0]]
    second = fit(samples, selected, settings, lambda_, start_P=start_P, on_step=on_step)
    return FitResult(second.model, first.solver + second.solver, first.model)
