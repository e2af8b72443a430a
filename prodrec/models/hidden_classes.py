"""Chooses the scale and the offset of rows from words, by hiding known classes on validation photos.

Rows from words compete with trained rows, and a classifier of both prefers the trained ones unless the scores are
calibrated: Chao et al. 2016, "An empirical study and analysis of generalized zero-shot learning for object recognition
in the wild", §3.2, subtract a constant from the scores of the trained classes. Here the scores from words also have a
factor, and both numbers are those with the smallest cross-entropy where known classes are hidden. The classes are
divided at random into F folds. In fold f, the classes H_f have their rows from words, all others their trained rows:

    o_c(x) = ō(x) + a u_c(x) + b  for c in H_f,  o_c(x) as trained for others        (`class_words.py` has ō and u)

    L(a, b) = 1/F Σ_f Σ_i v_i (log Σ_c exp o_c(x_i) − o_y(x_i)),    v_i ∝ 1 / (validation photos of class y)

The network has seen photos of a hidden class, and the other rows were trained to reject them. Photos of a class that is
really new are therefore recognised less often than these; a bonus, added to b, makes up for it at the cost of known
classes. Measured on drawn products (leaf × colour, 65 classes, 13 of them new, linear heads on fixed features, two
seeds, operating point balanced): of photos of new classes, 2 and 3 % are right, among the best five 21 and 10 %, and 31
and 30 % of those of known classes; with a bonus of 1.5 nats 10 and 10 %, 44 and 23 %, and 28 and 24 %. Chance is 1.5 %.
Before classes are added, 37 and 36 % of the photos of known classes are right with the classifier alone.

The scores o are those for equally frequent classes, and so are the weights v. L is convex, since its scores are linear
in a and b. Newton's method finds the minimum for a ≥ 0 in a few passes over the photos; with

    p = Σ_{c in H_f} softmax(o)_c,   ⟨·⟩ the mean over H_f with weights softmax(a u),   h = 1 if y is in H_f, else 0

    ∂L/∂a = p⟨u⟩ − h u_y     ∂L/∂b = p − h
    ∂²L/∂a² = p⟨u²⟩ − p²⟨u⟩²   ∂²L/∂a∂b = p (1 − p)⟨u⟩   ∂²L/∂b² = p (1 − p)

Shapes: M validation photos, m of a chunk, E = D + 1 features with a constant 1, C classes, F folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prodrec.core.base import console
from prodrec.models.class_words import WordScale

FOLDS = 5
"""Folds of the hidden classes: each fold hides a fifth of them."""
MOST_PASSES = 40
TOLERANCE = 1e-7
"""Decrease of the loss, in nats, that a Newton step must promise."""
LARGEST_STEP = 5.0
"""Nats by which a step may change the score of a class. Far from the minimum, Newton steps can be much longer."""
SCORES_AT_ONCE = 2**24
DIGITS = 4
"""Significant digits of a and b, so that rounding errors of another machine rarely change them."""


@dataclass(frozen=True)
class _Fold:
    """What a pass needs of every photo in a fold: its number, and m numbers each.

    others: log Σ exp o over the classes with trained rows
    label:  o_y of a class with a trained row, u_y of a hidden one
    hidden: whether y is hidden
    """

    number: int
    others_m: Tensor
    label_m: Tensor
    hidden_m: Tensor


class HiddenClasses:
    """The loss L over validation photos, and its minimum.

    features_MD: inputs of the classifier
    label_M:     classes
    rows_CE:     trained weights and biases, for equally frequent classes
    words_CE:    q_c [W, d], see `ClassWords`
    has_words_C: classes that can be hidden, at least two
    """

    def __init__(
        self,
        features_MD: Tensor,
        label_M: Tensor,
        *,
        rows_CE: Tensor,
        words_CE: Tensor,
        has_words_C: Tensor,
        seed: int,
    ) -> None:
        self.features_MD, self.label_M = features_MD, label_M
        self.rows_CE = rows_CE - rows_CE[has_words_C].mean(0)
        self.words_CE = words_CE - words_CE[has_words_C].mean(0)
        classes = torch.nonzero(has_words_C)[:, 0]
        self.folds = min(FOLDS, len(classes))
        order = np.random.default_rng(seed).permutation(len(classes))
        self.fold_C = torch.full((len(rows_CE),), -1, device=rows_CE.device)
        self.fold_C[classes[torch.from_numpy(order).to(classes.device)]] = (
            torch.arange(len(classes), device=rows_CE.device) % self.folds
        )
        photos_M = torch.bincount(label_M, minlength=len(rows_CE))[label_M].double()
        self.weight_M = 1 / photos_M / (1 / photos_M).sum()
        own_M = (features_MD.float() * self.words_CE[label_M, :-1]).sum(1) + self.words_CE[label_M, -1]
        self._spread = float(own_M.square().mean().sqrt())

    def minimise(self, *, bonus: float = 0.0) -> WordScale:
        """Return a ≥ 0 and b with the smallest L, and estimates of the accuracies of the classes with them.

        The estimate of a fold uses the a and b that minimise L over the other folds.

        bonus: is added to b afterwards
        """
        with console.progress("words", total=MOST_PASSES * (1 + self.folds), unit="passes") as advance:
            whole = self._minimum(torch.zeros(2, dtype=torch.float64), advance)
            others = [self._minimum(whole, advance, without=fold) for fold in range(self.folds)]
        scale, offset = _rounded(whole)
        points = [(own_scale, own_offset + bonus) for own_scale, own_offset in map(_rounded, others)]
        return WordScale(scale, offset + bonus, *self.accuracies(points))

    def _minimum(self, start: Tensor, advance: Callable[[], object], *, without: int | None = None) -> Tensor:
        """Return [a, b] with the smallest L, by Newton's method; `without` is a fold that does not count."""
        point, step = start, torch.zeros_like(start)
        best: float | None = None
        for _ in range(MOST_PASSES):
            advance()
            loss, gradient, hessian = self.loss(*(point + step).tolist(), without=without)
            if best is not None and loss > best + TOLERANCE:
                step = step / 2
                continue
            best, point = loss, point + step
            step = _newton_step(point, gradient, hessian)
            nats = self._spread * abs(float(step[0])) + abs(float(step[1]))
            step = step * min(1.0, LARGEST_STEP / max(nats, LARGEST_STEP))
            if float(-gradient @ step) < TOLERANCE:
                break
        return point

    def loss(self, scale: float, offset: float, *, without: int | None = None) -> tuple[float, Tensor, Tensor]:
        """Return L, its gradient [2] and its Hessian [2, 2], all in float64; the fold `without` does not count."""
        total = torch.zeros(6, dtype=torch.float64)
        folds = [fold for fold in range(self.folds) if fold != without]
        for weight_m, word_mC, fold_classes, fold in self._visits(folds):
            scaled_mC = scale * word_mC[:, fold_classes]
            hidden_m = torch.logsumexp(scaled_mC, 1) + offset
            all_m = torch.logaddexp(fold.others_m, hidden_m)
            p_m = (hidden_m - all_m).exp()
            share_mC = scaled_mC.softmax(1)
            mean_m = (share_mC * word_mC[:, fold_classes]).sum(1)
            square_m = (share_mC * word_mC[:, fold_classes] ** 2).sum(1)
            is_hidden_m = fold.hidden_m.to(p_m)
            label_m = torch.where(fold.hidden_m, scale * fold.label_m + offset, fold.label_m)
            terms = (
                all_m - label_m,
                p_m * mean_m - is_hidden_m * fold.label_m,
                p_m - is_hidden_m,
                p_m * square_m - (p_m * mean_m) ** 2,
                p_m * (1 - p_m) * mean_m,
                p_m * (1 - p_m),
            )
            total += torch.stack([(weight_m * term_m.double()).sum() for term_m in terms]).cpu()
        loss, by_a, by_b, by_aa, by_ab, by_bb = (total / len(folds)).tolist()
        gradient = torch.tensor([by_a, by_b], dtype=torch.float64)
        return loss, gradient, torch.tensor([[by_aa, by_ab], [by_ab, by_bb]], dtype=torch.float64)

    def accuracies(self, points: Sequence[tuple[float, float]]) -> tuple[float, float]:
        """Return the mean accuracies of hidden classes, and of the others in the same competition.

        points: a and b for every fold
        """
        right, total = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        for weight_m, word_mC, fold_classes, fold in self._visits(range(self.folds), largest=True):
            scale, offset = points[fold.number]
            best_hidden_m = scale * word_mC[:, fold_classes].amax(1) + offset
            label_m = torch.where(fold.hidden_m, scale * fold.label_m + offset, fold.label_m)
            rival_m = torch.where(fold.hidden_m, fold.others_m, best_hidden_m)
            own_best_m = torch.where(fold.hidden_m, best_hidden_m, fold.others_m)
            correct_m = (label_m >= own_best_m) & (label_m > rival_m)
            for kind, is_kind_m in enumerate((fold.hidden_m, ~fold.hidden_m)):
                total[kind] += float(weight_m[is_kind_m].sum())
                right[kind] += float(weight_m[is_kind_m & correct_m].sum())
        hidden, known = (right / total.clamp(min=1e-12)).tolist()
        return hidden, known

    def _visits(self, folds: Sequence[int], *, largest: bool = False) -> Iterator[tuple[Tensor, Tensor, Tensor, _Fold]]:
        """Yield for chunks of photos and each of the folds: v, u of all classes, the classes of the fold, and a _Fold.

        largest: the largest score in place of log Σ exp
        """
        rows_at_once = max(1, SCORES_AT_ONCE // len(self.rows_CE))
        for start in range(0, len(self.label_M), rows_at_once):
            part = slice(start, start + rows_at_once)
            x_mD, label_m = self.features_MD[part].float(), self.label_M[part].unsqueeze(1)
            trained_mC, word_mC = (
                x_mD @ rows_CE[:, :-1].T + rows_CE[:, -1] for rows_CE in (self.rows_CE, self.words_CE)
            )
            own_mC = [trained_mC.gather(1, label_m)[:, 0], word_mC.gather(1, label_m)[:, 0]]
            for fold in folds:
                is_hidden_C = self.fold_C == fold
                hidden_m = is_hidden_C[label_m[:, 0]]
                others_mC = trained_mC.masked_fill(is_hidden_C, -torch.inf)
                others_m = others_mC.amax(1) if largest else torch.logsumexp(others_mC, 1)
                label_score_m = torch.where(hidden_m, own_mC[1], own_mC[0])
                yield (
                    self.weight_M[part],
                    word_mC,
                    torch.nonzero(is_hidden_C)[:, 0],
                    _Fold(fold, others_m, label_score_m, hidden_m),
                )


def _rounded(point: Tensor) -> tuple[float, float]:
    """Return a and b with the digits that are kept."""
    scale, offset = (float(f"{value:.{DIGITS}g}") for value in point.tolist())
    return scale, offset


def _newton_step(point: Tensor, gradient: Tensor, hessian: Tensor) -> Tensor:
    """Return the Newton step for a ≥ 0: on the boundary b alone moves, unless a is to grow."""
    ridge = 1e-10 * torch.eye(2, dtype=torch.float64)
    step: Tensor = -torch.linalg.solve(hessian + ridge, gradient)
    if point[0] + step[0] < 0:
        at_zero = -point[0]
        along_b = -(gradient[1] + hessian[0, 1] * at_zero) / (hessian[1, 1] + 1e-10)
        step = torch.stack([at_zero, along_b])
    return step
