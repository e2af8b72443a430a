"""Cross-fitting: choose λ by cross-validation, and refine every sample by weights that were not fitted on it.

The samples are divided into folds. For every fold, W is fitted on the other folds. The loss of these weights on the
held-out folds chooses λ. The same weights refine the scores of the held-out fold. All other rows are refined by a final
fit on all samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine.fit import FitResult, OnStep, Samples, fit_with_selection, negative_log_likelihood
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.tree import Tree

FIRST_LAMBDA = 1000.0
"""Where the search for λ starts. It is large, because fits take longest at a small λ."""

LAMBDA_RANGE = (1e-4, 1e6)
"""Limits of the search in powers of ten; its last step may exceed them by half a power."""

HALF_POWER = 10**0.5


@dataclass
class CrossValidationStats:
    """Statistics of the fits for the folds, summed over all values of λ."""

    fits: int = 0
    not_converged: int = 0
    seconds: float = 0.0

    def add(self, result: FitResult) -> None:
        self.fits += 1
        self.not_converged += result.status != "converged"
        self.seconds += sum(part.seconds for part in result.solver)


@dataclass
class CrossFitResult:
    """The fits of the chosen λ.

    loss_by_lambda:   held-out loss per sample of every λ that was tried.
    folds:            for every fold, the fit on the other folds.
    final:            the fit on all samples.
    cross_validation: statistics of all fits except the final one.
    """

    lambda_: float
    loss_by_lambda: dict[float, float]
    folds: dict[int, FitResult]
    final: FitResult
    cross_validation: CrossValidationStats


def assign_folds(group_N: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Return a pseudo-random fold for every row, the same in every scores file of a dataset.

    group_N: the first row of each row's duplicate group. All photos of a product, and all duplicates, are in one fold:
             weights are never judged on another photo of a product that they were fitted on.
    """
    mixed_N = group_N.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # multiply and shift, as in splitmix64
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed_N >> np.uint64(33)) % np.uint64(folds)).astype(np.int64)


def cross_fit(
    samples: Samples,
    tree: Tree,
    settings: MCRSettings,
    *,
    on_fit: Callable[[str], None] | None = None,
    on_step: OnStep | None = None,
) -> CrossFitResult:
    """Choose λ unless the settings contain it. Fit W for every fold with samples, and on all samples.

    on_fit:  called before every fit with its description.
    on_step: called after every step of the solver with its number and the objective.
    """
    folds = [fold for fold in range(settings.folds) if len(samples.in_fold(fold)) and len(samples.outside_fold(fold))]
    stats = CrossValidationStats()
    loss_by_lambda: dict[float, float] = {}
    latest: dict[int, FitResult] = {}  # by fold; the fits at the next λ start from their weights
    best: dict[int, FitResult] = {}  # by fold, of the best λ so far; the others are not needed again

    def held_out_loss(lambda_: float) -> float:
        if lambda_ in loss_by_lambda:
            return loss_by_lambda[lambda_]
        results, total = {}, 0.0
        for fold in folds:
            if on_fit is not None:
                on_fit(f"λ = {lambda_:.3g}, fold {fold + 1} of {settings.folds}")
            results[fold] = fit_with_selection(
                samples.outside_fold(fold), tree, settings, lambda_, previous=latest.get(fold), on_step=on_step
            )
            latest[fold] = results[fold]
            stats.add(results[fold])
            total += negative_log_likelihood(samples.in_fold(fold), results[fold].model)
        loss = total / len(samples)
        if not best or loss < min(loss_by_lambda.values()):
            best.update(results)
        loss_by_lambda[lambda_] = loss
        return loss

    lambda_ = search_lambda(held_out_loss) if settings.lambda_ is None else settings.lambda_
    held_out_loss(lambda_)  # fits nothing if the search has tried it
    if on_fit is not None:
        on_fit(f"λ = {lambda_:.3g}, all rows")
    final = fit_with_selection(samples, tree, settings, lambda_, on_step=on_step)
    return CrossFitResult(lambda_, loss_by_lambda, best, final, stats)


def search_lambda(loss: Callable[[float], float]) -> float:
    """Return the λ with the smallest loss of those that the search tries. `loss` should have a single minimum.

    The search goes downhill in powers of ten, and then tries half a power of ten on either side of the best.
    """
    tried = {lambda_: loss(lambda_) for lambda_ in (FIRST_LAMBDA, FIRST_LAMBDA * 10)}
    factor = 10.0 if tried[FIRST_LAMBDA * 10] < tried[FIRST_LAMBDA] else 0.1
    best = min(tried, key=tried.__getitem__)
    while LAMBDA_RANGE[0] <= best * factor <= LAMBDA_RANGE[1]:
        tried[best * factor] = loss(best * factor)
        if tried[best * factor] >= tried[best]:
            break
        best *= factor
    for lambda_ in (best * HALF_POWER, best / HALF_POWER):
        tried[lambda_] = loss(lambda_)
    return min(tried, key=tried.__getitem__)
