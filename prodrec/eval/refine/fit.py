"""Fits W (S eq. 3): first with all categories, then inside the R_c that the first fit's weights choose (eq. 4).

λ is chosen by cross-validation, and every row of the fit gets refined scores from weights that have not seen it.

Shapes: P parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.eval.refine import dense, kept
from prodrec.eval.refine.dense import DenseRows
from prodrec.eval.refine.kept import KeptRows
from prodrec.eval.refine.pattern import Pattern, everything, most_related
from prodrec.eval.refine.related import RelatedLoss
from prodrec.eval.refine.settings import Settings
from prodrec.eval.refine.solver import Loss, Solved, minimise
from prodrec.eval.refine.tree import Tree
from prodrec.eval.refine.weights import Weights

Rows = DenseRows | KeptRows
Say = Callable[[str], None]

FIRST_LAMBDA = 1000.0
FINE = 10**0.5
WIDEST = (1e-4, 1e6)
"""λ is looked for downhill in powers of ten, within these, then at half a power on either side of the best: few fits,
and few of them at a small λ, where they take longest. (The loss on rows left out falls to one minimum and rises.)"""

FIRST_TOLERANCE = 1e-5
"""The first fit only has to rank weights."""


@dataclass
class Fitted:
    """Weights and how the solver ended for each of their parts; first: the weights of the first fit, to go on from."""

    weights: Weights
    solved: list[Solved]
    first: Weights | None = None

    @property
    def status(self) -> str:
        """The worst of its parts."""
        return max((part.status for part in self.solved), key=("converged", "stuck", "iterations").index)


@dataclass
class CrossFitted:
    """λ, the loss a row on rows left out at every λ that was tried, weights by fold, and weights of all rows."""

    strength: float
    tried: dict[float, float]
    folds: dict[int, Fitted]
    final: Fitted
    fits: list[Fitted] = field(default_factory=list)


def fold_of(rows_R: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """The fold of each row by its number alone, well mixed: the same in every file of a dataset."""
    mixed = rows_R.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(33)) % np.uint64(folds)).astype(np.int64)


def losses(rows: Rows, pattern: Pattern, normaliser: str) -> Sequence[tuple[slice, Loss]]:
    """The parts that the loss falls into, and the parameters that each is a function of."""
    if normaliser == "level":
        return dense.level_losses(rows, pattern) if isinstance(rows, DenseRows) else kept.level_losses(rows, pattern)
    whole = slice(0, pattern.size)
    return [(whole, RelatedLoss(rows, pattern) if isinstance(rows, DenseRows) else kept.related_loss(rows, pattern))]


def first_pattern(rows: Rows, tree: Tree, settings: Settings) -> Pattern:
    """R_c of the first fit: everything; on kept scores the categories seen beside c."""
    return everything(tree) if isinstance(rows, DenseRows) else kept.seen_together(rows, settings.candidates)


def fit(
    rows: Rows,
    pattern: Pattern,
    settings: Settings,
    strength: float,
    *,
    start_P: NDArray[np.float64] | None = None,
    on_step: Callable[[int, float], None] | None = None,
    **how: Any,
) -> Fitted:
    """Minimise eq. 3 inside `pattern`."""
    identity = pattern.identity()
    target = identity if settings.penalty == "identity" else np.zeros_like(identity)
    values, solved = np.empty_like(target), []
    for part, loss in losses(rows, pattern, settings.normaliser):
        found = minimise(
            loss,
            strength=strength,
            target_P=target[part],
            start_P=None if start_P is None else start_P[part],
            on_step=on_step,
            **{"tolerance": settings.tolerance, "iterations": settings.iterations, **how},
        )
        values[part] = found.values_P
        solved.append(found)
    return Fitted(Weights(pattern, values, settings.normaliser, isinstance(rows, KeptRows)), solved)


def fit_twice(
    rows: Rows,
    tree: Tree,
    settings: Settings,
    strength: float,
    *,
    before: Fitted | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Fitted:
    """The first fit, R_c from it, the fit inside R_c; one fit where K is all. before: at another λ, to start from."""
    pattern = before.first.pattern if before and before.first else first_pattern(rows, tree, settings)
    start = before.first.values_P if before and before.first else None
    k = settings.most_related
    tolerance = settings.tolerance if k is None else max(settings.tolerance, FIRST_TOLERANCE)
    first = fit(rows, pattern, settings, strength, start_P=start, on_step=on_step, tolerance=tolerance)
    if k is None:
        return Fitted(first.weights, first.solved, first.weights)
    chosen = most_related(pattern, first.weights.values_P, k)
    start = first.weights.values_P[pattern.find(chosen.keys_P)[0]]
    second = fit(rows, chosen, settings, strength, start_P=start, on_step=on_step)
    return Fitted(second.weights, first.solved + second.solved, first.weights)


def loss_of(rows: Rows, weights: Weights) -> float:
    """−log likelihood of the rows under the weights, without the penalty, summed over rows and levels."""
    parts = losses(rows, weights.pattern, weights.normaliser)
    return sum(loss.evaluate(weights.values_P[part], np.float32)[0] for part, loss in parts)


def cross_fit(
    rows: Rows, tree: Tree, settings: Settings, *, on_fit: Say | None = None, on_step: Any = None
) -> CrossFitted:
    """Choose λ (where none is given) by the loss on rows left out, and fit every fold's weights and the final ones."""
    numbers = [fold for fold in range(settings.folds) if rows.only(fold).count and rows.without(fold).count]
    tried: dict[float, float] = {}
    by_strength: dict[float, dict[int, Fitted]] = {}
    fits: list[Fitted] = []
    latest: dict[int, Fitted] = {}

    def attempt(strength: float) -> float:
        if strength in tried:
            return tried[strength]
        found, loss = {}, 0.0
        for fold in numbers:
            if on_fit is not None:
                on_fit(f"λ = {strength:.3g}, fold {fold + 1} of {settings.folds}")
            found[fold] = fit_twice(
                rows.without(fold), tree, settings, strength, before=latest.get(fold), on_step=on_step
            )
            latest[fold] = found[fold]
            fits.append(found[fold])
            loss += loss_of(rows.only(fold), found[fold].weights)
        best = min(tried.values(), default=np.inf)
        tried[strength] = loss / rows.count
        if tried[strength] < best:
            by_strength.clear()  # only the best λ's weights are needed again
        if tried[strength] < best or not by_strength:
            by_strength[strength] = found
        return tried[strength]

    strength = settings.strength if settings.strength is not None else search(attempt)
    if strength not in by_strength:
        tried.pop(strength, None)
        attempt(strength)
    if on_fit is not None:
        on_fit(f"λ = {strength:.3g}, all rows of the fit")
    final = fit_twice(rows, tree, settings, strength, on_step=on_step)
    return CrossFitted(strength, tried, by_strength[strength], final, [*fits, final])


def search(attempt: Callable[[float], float]) -> float:
    """The λ with the least loss: downhill in powers of ten, then half a power on either side."""
    found = {strength: attempt(strength) for strength in (FIRST_LAMBDA, FIRST_LAMBDA * 10)}
    factor = 10.0 if found[FIRST_LAMBDA * 10] < found[FIRST_LAMBDA] else 0.1
    best = min(found, key=found.__getitem__)
    while WIDEST[0] <= best * factor <= WIDEST[1]:
        found[best * factor] = attempt(best * factor)
        if found[best * factor] >= found[best]:
            break
        best *= factor
    for strength in (best * FINE, best / FINE):
        found[strength] = attempt(strength)
    return min(found, key=found.__getitem__)
