"""The vectors of an index, from the features of the run.

Shapes: B photos, D numbers of a feature, d of a vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_vectors(
    features_BD: NDArray[np.floating], projection: tuple[NDArray[np.float32], NDArray[np.float32]] | None
) -> NDArray[np.float32]:
    """Return the vectors of features of length 1, float32 [B, d] of length 1.

    projection: mean [D] and matrix [D, d]; None if features are the vectors
    """
    if projection is None:
        return features_BD.astype(np.float32)
    mean_D, matrix_Dd = projection
    vectors_Bd = (features_BD.astype(np.float32) - mean_D) @ matrix_Dd
    lengths_B1 = np.linalg.norm(vectors_Bd, axis=1, keepdims=True)
    return np.asarray(vectors_Bd / np.maximum(lengths_B1, np.finfo(np.float32).tiny), np.float32)
