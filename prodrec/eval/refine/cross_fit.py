"""Cross-fitting: choose λ by cross-validation, and refine every sample by weights that were not fitted on it.

The samples are divided into folds. For every fold, W is fitted on the other folds. The loss of these weights on the
held-out folds chooses λ. The same weights refine the scores of the held-out fold. All other rows are refined by a final
fit on all samples.

A smaller loss is not always a better order. A λ that lowers ACC or MACC on the held-out folds, of the leaves or on
average over the levels, is therefore not chosen, but the λ with the smallest loss of the others. Samples whose category
has all its samples in one fold are judged too, by weights that have not seen the category.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prodrec.eval.refine.fit import FitResult, OnStep, Samples, fit_with_selection
from prodrec.eval.refine.held_out import HeldOut, judge
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.settings import MCRSettings
from prodrec.eval.refine.tree import Tree

FIRST_LAMBDA = 1000.0
"""Where the search for λ starts. It is large, because fits take longest at a small λ."""

LAMBDA_RANGE = (1e-4, 1e6)
"""Limits of the search in powers of ten; its last step may exceed them by half a power."""

NO_CHANGE_LAMBDA = 1e10
"""W = I to the precision of float32 scores. Chosen if every smaller λ lowers an accuracy."""

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
    harmful:          those λ that lower ACC or MACC on the held-out folds (`HeldOut.is_worse_than`).
    folds:            for every fold, the fit on the other folds.
    final:            the fit on all samples.
    cross_validation: statistics of all fits except the final one.
    """

    lambda_: float
    loss_by_lambda: dict[float, float]
    harmful: frozenset[float]
    folds: dict[int, FitResult]
    final: FitResult
    cross_validation: CrossValidationStats


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
    trials = Trials(samples, tree, settings, on_fit, on_step)
    lambda_ = trials.choose() if settings.lambda_ is None else settings.lambda_
    trials.loss(lambda_)  # fits nothing if the choice has tried it
    if on_fit is not None:
        on_fit(f"λ = {lambda_:.3g}, all rows")
    final = fit_with_selection(samples, tree, settings, lambda_, on_step=on_step)
    return CrossFitResult(
        lambda_, trials.loss_by_lambda, frozenset(trials.harmful), trials.best_fits, final, trials.stats
    )


class Trials:
    """The values of λ that were tried, and the fits of the best of them.

    Raw scores are the limit of a large λ only for the default penalty and normaliser. Only there are values of λ
    refused because they lower an accuracy, and not if the settings contain λ.
    """

    def __init__(
        self,
        samples: Samples,
        tree: Tree,
        settings: MCRSettings,
        on_fit: Callable[[str], None] | None,
        on_step: OnStep | None,
    ) -> None:
        self.samples, self.tree, self.settings, self.on_fit, self.on_step = samples, tree, settings, on_fit, on_step
        folds = range(settings.folds)
        self.folds = [fold for fold in folds if len(samples.in_fold(fold)) and len(samples.outside_fold(fold))]
        self.stats = CrossValidationStats()
        self.loss_by_lambda: dict[float, float] = {}
        self.harmful: set[float] = set()
        self.best_lambda: float | None = None
        self.best_fits: dict[int, FitResult] = {}  # by fold; those of other λ are not needed again
        self._latest: dict[int, FitResult] = {}  # by fold; the fits at the next λ start from their weights
        self._raw = None
        if settings.lambda_ is None and settings.penalty == "identity" and settings.normaliser == "level":
            self._raw = self._judge(dict.fromkeys(self.folds))

    def loss(self, lambda_: float) -> float:
        """Return the loss per sample of the held-out folds. Fit W for every fold, unless this was done before."""
        if lambda_ in self.loss_by_lambda:
            return self.loss_by_lambda[lambda_]
        fits = {fold: self._fit(fold, lambda_) for fold in self.folds}
        held_out = self._judge({fold: result.model for fold, result in fits.items()})
        loss = held_out.loss / len(self.samples)
        self.loss_by_lambda[lambda_] = loss
        if self._raw is not None and lambda_ < NO_CHANGE_LAMBDA and held_out.is_worse_than(self._raw, self.tree):
            self.harmful.add(lambda_)
        elif self.best_lambda is None or loss < self.loss_by_lambda[self.best_lambda]:
            self.best_lambda, self.best_fits = lambda_, fits
        return loss

    def choose(self) -> float:
        """Search λ. Return the one with the smallest loss of those that lower no accuracy."""
        search_lambda(self.loss)
        while self.best_lambda is None:
            self.loss(min(100 * max(self.loss_by_lambda), NO_CHANGE_LAMBDA))
        return self.best_lambda

    def _fit(self, fold: int, lambda_: float) -> FitResult:
        if self.on_fit is not None:
            self.on_fit(f"λ = {lambda_:.3g}, fold {fold + 1} of {self.settings.folds}")
        result = fit_with_selection(
            self.samples.outside_fold(fold),
            self.tree,
            self.settings,
            lambda_,
            previous=self._latest.get(fold),
            on_step=self.on_step,
        )
        self._latest[fold] = result
        self.stats.add(result)
        return result

    def _judge(self, models: Mapping[int, MCRModel | None]) -> HeldOut:
        """Judge every fold by its model, or by its raw scores."""
        parts = (judge(self.samples.in_fold(fold), self.tree, model) for fold, model in models.items())
        return HeldOut.total(parts, self.tree.n)


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
