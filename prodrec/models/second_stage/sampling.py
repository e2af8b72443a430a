"""Class-balanced sampling: every class is drawn equally often, whatever its number of photos.

Shapes: N photos, C classes, P classes with photos, B draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ClassBalancedSampler:
    """Draws photos with p = 1/P · 1/n_c (Kang et al. 2020, eq. 1 with q = 0): a class, then one of its n_c photos.

    A draw depends on (seed, step) alone, so all ranks draw the same photos. Classes without photos are never drawn.
    """

    def __init__(self, class_N: NDArray[np.int64], *, views: int = 1, seed: int = 0) -> None:
        self.views = views
        self.seed = seed
        self._order_N = np.argsort(class_N, kind="stable")
        classes_P, self._count_P = np.unique(class_N, return_counts=True)
        self._first_P = np.cumsum(self._count_P) - self._count_P
        self.classes = len(classes_P)

    def draw(self, step: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the photos of a step and a view of each, int64 [count] both."""
        random = np.random.default_rng([self.seed, step])
        drawn_B = random.integers(self.classes, size=count)
        within_B = random.integers(self._count_P[drawn_B])
        return self._order_N[self._first_P[drawn_B] + within_B], random.integers(self.views, size=count)
