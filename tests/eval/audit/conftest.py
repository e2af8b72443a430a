"""A drawn dataset for the audit: classes as clouds of points, and words that name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prodrec.core.base.folds import assign_folds
from prodrec.core.base.taxonomy import Taxonomy

LEAVES = 6


class Clouds:
    """Evidence that knows the true centres: −||x − centre||² / 2."""

    is_calibrated = False

    def __init__(self, points_N2: NDArray[np.float64], centres_C2: NDArray[np.float64]) -> None:
        self.scores_NC = -((points_N2[:, None] - centres_C2) ** 2).sum(2) / 2
        self.fitted: list[NDArray[np.int64]] = []

    def fit(self, class_N: NDArray[np.int64]) -> None:
        self.fitted.append(class_N)

    def scores(self, fold: int, rows_R: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.scores_NC[rows_R].astype(np.float32)


@dataclass(frozen=True)
class Drawn:
    taxonomy: Taxonomy
    true_N: NDArray[np.int64]
    product_N: NDArray[np.int64]
    fold_N: NDArray[np.int64]
    evidence: dict[str, Any]


@pytest.fixture(scope="session")
def clouds() -> Drawn:
    """600 rows of 6 leaves under 3 roots; one kind of evidence tells them apart, the other is noise."""
    random = np.random.default_rng(0)
    true_N = np.sort(random.choice(LEAVES, 600, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])).astype(np.int64)
    centres = np.array([[0, 0], [4, 0], [0, 9], [4, 9], [9, 0], [9, 4]], float)
    taxonomy = Taxonomy(
        ("root", "leaf"),
        (["A", "B", "C"], [f"leaf {i}" for i in range(LEAVES)]),
        (np.full(3, -1, np.int32), np.array([0, 0, 1, 1, 2, 2], np.int32)),
    )
    photo = Clouds(centres[true_N] + random.normal(size=(600, 2)), centres)
    noise = Clouds(random.normal(size=(600, 2)), centres)
    product_N = np.arange(600) // 2
    product_N[::2] = product_N[1::2]
    product_N = np.unique(product_N * 10 + true_N, return_inverse=True)[1]
    return Drawn(taxonomy, true_N, product_N, assign_folds(product_N, 5), {"photo": photo, "noise": noise})
