"""Means of the classes, and the covariance of the features around them.

Every rank visits the photos of its own classes only, class by class, in chunks.

Shapes: M samples (views of photos), m of a chunk, D features, C classes, N of this rank, n of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prodrec.core.base import console, dist
from prodrec.models.second_stage.features import FrozenFeatures

ROWS_AT_ONCE = 8192
CLASSES_AT_ONCE = 16384
"""Classes whose sums are in memory at a time, in float64."""


@dataclass(frozen=True)
class ClassMeans:
    """The means of the classes of this rank.

    mean_ND: float32, 0 for a class without photos
    seen_N:  whether a class has photos
    """

    mean_ND: Tensor
    seen_N: Tensor

    def centre(self) -> Tensor:
        """Return the mean of the means of all classes of all ranks, float32 [D]. All ranks must call this."""
        sums = torch.cat([self.mean_ND.double().sum(0), self.seen_N.double().sum().unsqueeze(0)])
        dist.all_reduce_sum(sums)
        return (sums[:-1] / sums[-1].clamp(min=1)).float()


@dataclass(frozen=True)
class Covariance:
    """The pooled covariance within the classes, S = 1/M Σ_i z_i z_iᵀ with z_i = x_i − mean of its class.

    matrix_DD: S, float64
    quartic:   Σ_i ||z_i||⁴
    samples:   M
    """

    matrix_DD: Tensor
    quartic: float
    samples: int

    @property
    def mean_variance(self) -> float:
        """tr S / D."""
        return float(self.matrix_DD.diagonal().mean())

    def ledoit_wolf(self) -> float:
        """Return the shrinkage s of (1 − s) S + s tr(S)/D I with the least expected squared error.

        Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", §3.3:

            d² = ||S||²/D − (tr S/D)²,   b² = 1/(M D) (1/M Σ_i ||z_i||⁴ − ||S||²),   s = min(b², d²) / d²

        with the Frobenius norm. `sklearn.covariance.ledoit_wolf(assume_centered=True)` returns the same.
        """
        width = len(self.matrix_DD)
        square = float((self.matrix_DD**2).sum())
        spread = square / width - self.mean_variance**2
        error = (self.quartic / self.samples - square) / (self.samples * width)
        return 1.0 if spread <= 0 else min(max(error, 0.0), spread) / spread

    def shrunk(self, shrinkage: float) -> Tensor:
        """Return (1 − s) S + s tr(S)/D I, float64 [D, D]."""
        identity_DD = torch.eye(len(self.matrix_DD), dtype=torch.float64, device=self.matrix_DD.device)
        return (1 - shrinkage) * self.matrix_DD + shrinkage * self.mean_variance * identity_DD


def class_means(features: FrozenFeatures, first_class: int, classes: int, device: torch.device) -> ClassMeans:
    """Return the means of `classes` classes from `first_class` on."""
    mean_ND = torch.zeros((classes, features.width), device=device)
    seen_N = torch.zeros(classes, dtype=torch.bool, device=device)
    own = _OwnRows(features, first_class, classes, device)
    with console.progress("class means", total=len(own), unit="photos") as advance:
        for first in range(0, classes, CLASSES_AT_ONCE):
            stop = min(first + CLASSES_AT_ONCE, classes)
            sum_nD = torch.zeros((stop - first, features.width), dtype=torch.float64, device=device)
            count_n = torch.zeros(stop - first, dtype=torch.float64, device=device)
            for x_mD, class_m in own.chunks(first, stop):
                sum_nD.index_add_(0, class_m - first, x_mD.double())
                count_n += torch.bincount(class_m - first, minlength=stop - first)
                advance(len(x_mD) // features.views)
            mean_ND[first:stop] = (sum_nD / count_n.clamp(min=1).unsqueeze(1)).float()
            seen_N[first:stop] = count_n > 0
    return ClassMeans(mean_ND, seen_N)


def variance(features: FrozenFeatures, means: ClassMeans, first_class: int) -> float:
    """Return tr S / D over the photos of all ranks, without S. All ranks must call this."""
    sums_2 = torch.zeros(2, dtype=torch.float64, device=means.mean_ND.device)
    for z_mD in _residuals(features, means, first_class, "variance"):
        sums_2 += torch.stack([(z_mD**2).sum(), torch.full_like(sums_2[0], z_mD.numel())])
    square, numbers = dist.all_reduce_sum(sums_2).tolist()
    return float(square / max(1.0, numbers))


def covariance(features: FrozenFeatures, means: ClassMeans, first_class: int) -> Covariance:
    """Return the covariance over the photos of all ranks. All ranks must call this."""
    width = features.width
    sums = torch.zeros(width * width + 2, dtype=torch.float64, device=means.mean_ND.device)
    products_DD, others_2 = sums[:-2].view(width, width), sums[-2:]
    for z_mD in _residuals(features, means, first_class, "covariance"):
        products_DD.addmm_(z_mD.t(), z_mD)
        others_2 += torch.stack([((z_mD**2).sum(1) ** 2).sum(), torch.full_like(sums[0], len(z_mD))])
    dist.all_reduce_sum(sums)
    quartic, samples = others_2.tolist()
    return Covariance(products_DD / max(1.0, samples), quartic, int(samples))


def _residuals(features: FrozenFeatures, means: ClassMeans, first_class: int, name: str) -> Iterator[Tensor]:
    """Yield z of the photos of this rank's classes in chunks, float64 [m, D]."""
    own = _OwnRows(features, first_class, len(means.mean_ND), means.mean_ND.device)
    with console.progress(name, total=len(own), unit="photos") as advance:
        for x_mD, class_m in own.chunks(0, len(means.mean_ND)):
            yield x_mD.double() - means.mean_ND[class_m].double()
            advance(len(x_mD) // features.views)


class _OwnRows:
    """The photos of the classes of this rank, in the order of the classes."""

    def __init__(self, features: FrozenFeatures, first_class: int, classes: int, device: torch.device) -> None:
        self.features = features
        self.first_class = first_class
        self.device = device
        class_N = features.class_N - first_class
        rows_R = np.flatnonzero((class_N >= 0) & (class_N < classes))
        self._row_R = rows_R[np.argsort(class_N[rows_R], kind="stable")]
        self._class_R = class_N[self._row_R]

    def __len__(self) -> int:
        return len(self._row_R)

    def chunks(self, first: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the features, float32 [m, D], and the local classes [m] of the local classes from `first` to `stop`."""
        start, end = np.searchsorted(self._class_R, [first, stop]).tolist()
        for at in range(start, end, ROWS_AT_ONCE):
            rows_R = self._row_R[at : min(at + ROWS_AT_ONCE, end)]
            x_mD, class_m = self.features.read_all_views(rows_R, self.device)
            yield x_mD, class_m - self.first_class
