"""Out-of-fold scores of Gaussian classes, for the audit of labels: lda (see `gaussians.py`) with uncertain means.

    x | c ~ N(μ_c, Σ),   μ_c ~ N(g, b Σ)

with Σ the pooled covariance within the classes, shrunk as Ledoit and Wolf do, g the mean of the class means, and b the
variance of the class means by the method of moments. Given n_c photos of mean x̄_c, in units of Σ around g,

    r = n_c b / (n_c b + 1),   v = 1 + b / (n_c b + 1),   log p(x|c) = −d/2 log v − ||x − r x̄_c||² / (2 v) + const

A class of a few photos is thus judged by a mean that is uncertain: it neither loses all its photos nor attracts those
of others. A class without photos in the other folds has n_c = 0. For n_c → ∞ this is lda.

The products of the features of a fold do not depend on the labels: they are added up once, and fitting other labels
costs C × d² operations.

Shapes: N photos, R of a chunk, d numbers of a feature, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prodrec.models.second_stage.class_means import Covariance

SMALLEST_SPREAD = 1e-3
"""Smallest b: class means that differ by nothing but chance would make all classes one."""


@dataclass(frozen=True)
class FoldFit:
    """The classes as fitted on the other folds.

    centre_d, whiten_dd: x becomes (x − g) whiten, in units of Σ
    mean_Cd:             r x̄_c in these units
    variance_C:          v
    """

    centre_d: Tensor
    whiten_dd: Tensor
    mean_Cd: Tensor
    variance_C: Tensor

    def scores(self, x_Rd: Tensor) -> Tensor:
        """Return log p(x|c) up to a constant of the row, float32 [R, C]."""
        white_Rd = (x_Rd - self.centre_d) @ self.whiten_dd
        square_RC = (white_Rd**2).sum(1, keepdim=True) - 2 * white_Rd @ self.mean_Cd.t() + (self.mean_Cd**2).sum(1)
        return -0.5 * (x_Rd.shape[1] * self.variance_C.log() + square_RC / self.variance_C)


class HeldOutGaussians:
    """Gaussian classes for every fold of the photos.

    features_Nd: float32
    fold_N:      the fold of every photo
    """

    is_calibrated = False

    def __init__(self, features_Nd: NDArray[np.float32], fold_N: NDArray[np.int64], *, classes: int) -> None:
        self._features_Nd, self._fold_N, self._classes = torch.from_numpy(features_Nd), fold_N, classes
        self._folds = int(fold_N.max(initial=0)) + 1
        self._products_Fdd = torch.stack([(x := self._fold(fold)).t() @ x for fold in range(self._folds)])
        self._fits: list[FoldFit] = []

    def fit(self, class_N: NDArray[np.int64]) -> None:
        """Fit the classes for every fold; photos of class −1 are not used."""
        self._fits = [self._fit(fold, torch.from_numpy(class_N)) for fold in range(self._folds)]

    def scores(self, fold: int, rows_R: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores of rows of one fold, by the photos of the others: float32 [R, C]."""
        scores_RC: NDArray[np.float32] = self._fits[fold].scores(self._features_Nd[torch.from_numpy(rows_R)]).numpy()
        return scores_RC

    def _fold(self, fold: int) -> Tensor:
        return self._features_Nd[torch.from_numpy(np.flatnonzero(self._fold_N == fold))].double()

    def _fit(self, fold: int, class_N: Tensor) -> FoldFit:
        used_N = torch.from_numpy(self._fold_N != fold) & (class_N >= 0)
        x_Md, class_M = self._features_Nd[used_N], class_N[used_N]
        width = x_Md.shape[1]
        count_C = torch.bincount(class_M, minlength=self._classes).double()
        sum_Cd = torch.zeros((self._classes, width), dtype=torch.float64).index_add_(0, class_M, x_Md.double())
        mean_Cd, seen_C = sum_Cd / count_C.clamp(min=1).unsqueeze(1), count_C > 0
        products_dd = self._products_Fdd.sum(0) - self._products_Fdd[fold]
        unused_N = torch.from_numpy(self._fold_N != fold) & (class_N < 0)
        if unused_N.any():
            x_Ud = self._features_Nd[unused_N].double()
            products_dd = products_dd - x_Ud.t() @ x_Ud
        within_dd = (products_dd - (mean_Cd * count_C.unsqueeze(1)).t() @ mean_Cd) / max(1, len(x_Md))
        quartic = ((x_Md - mean_Cd.float()[class_M]) ** 2).sum(1).double().square().sum()
        covariance = Covariance(within_dd, float(quartic), max(1, len(x_Md)))
        centre_d = mean_Cd[seen_C].mean(0) if seen_C.any() else torch.zeros(width, dtype=torch.float64)
        whiten_dd = _whitening(covariance)
        white_Cd = (mean_Cd - centre_d) @ whiten_dd * seen_C.unsqueeze(1)
        spread = self._spread(white_Cd, count_C, seen_C)
        share_C = count_C * spread / (count_C * spread + 1)
        variance_C = 1 + spread / (count_C * spread + 1)
        return FoldFit(
            centre_d.float(), whiten_dd.float(), (white_Cd * share_C.unsqueeze(1)).float(), variance_C.float()
        )

    def _spread(self, white_Cd: Tensor, count_C: Tensor, seen_C: Tensor) -> float:
        """Return b: the mean square of the class means, less what the chance of their photos adds to it."""
        if not seen_C.any():
            return 1.0
        square_C = (white_Cd[seen_C] ** 2).mean(1) - 1 / count_C[seen_C]
        return max(SMALLEST_SPREAD, float(square_C.mean()))


def _whitening(covariance: Covariance) -> Tensor:
    """Return the matrix by which rows x are multiplied: x whiten has the covariance I."""
    shrinkage = covariance.ledoit_wolf()
    if covariance.mean_variance <= 0:  # no class has two different photos
        return torch.eye(len(covariance.matrix_DD), dtype=torch.float64)
    factor_dd, failed = torch.linalg.cholesky_ex(covariance.shrunk(shrinkage))
    if int(failed):
        factor_dd = torch.linalg.cholesky(covariance.shrunk(0.5))
    identity_dd = torch.eye(len(factor_dd), dtype=torch.float64)
    inverse_dd: Tensor = torch.linalg.solve_triangular(factor_dd, identity_dd, upper=False)
    return inverse_dd.t()
