"""McNemar's test of two runs, and the correction of p values for several tests.

Shapes: T tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mcnemar(better: int, worse: int) -> float:
    """Return the p value of McNemar's exact test, two-sided.

    better, worse: photos that only the second run, and only the first run, predicts correctly
    """
    if better == worse:
        return 1.0
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5)))


def holm(p_T: Sequence[float]) -> list[float]:
    """Return p values corrected for several tests (Holm 1979), in the same order."""
    values_T: NDArray[np.float64] = np.asarray(p_T, dtype=np.float64)
    order_T = np.argsort(values_T, kind="stable")
    corrected_T = np.empty_like(values_T)
    factors_T = np.arange(len(values_T), 0, -1)
    corrected_T[order_T] = np.minimum(1.0, np.maximum.accumulate(values_T[order_T] * factors_T))
    return [float(p) for p in corrected_T]
