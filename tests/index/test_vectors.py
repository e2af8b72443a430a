"""Vectors of features are those with which the training photos of a run vote."""

from __future__ import annotations

import numpy as np
import torch

from prodrec.index.vectors import to_vectors
from prodrec.inference.neighbours.projection import Projection, fit_projection


def test_the_projection_of_a_run() -> None:
    feature_ND = torch.nn.functional.normalize(torch.randn(50, 12, generator=torch.Generator().manual_seed(0)), dim=1)
    projection: Projection = fit_projection(lambda: iter([feature_ND.half().numpy()]))
    vectors = to_vectors(feature_ND.numpy(), (projection.mean_D.numpy(), projection.matrix_Dd.numpy()))
    assert np.allclose(vectors, projection(feature_ND).numpy(), atol=1e-5)
    assert np.array_equal(to_vectors(feature_ND.numpy(), None), feature_ND.numpy())
