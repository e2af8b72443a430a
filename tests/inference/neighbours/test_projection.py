"""The projection against numpy's principal components, for few and for many photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.inference.neighbours import projection as module
from prodrec.inference.neighbours.projection import fit_projection


def draw(n: int, d: int) -> NDArray[np.float16]:
    random = np.random.default_rng(n)
    features_ND = np.abs(random.normal(size=(n, d)) * np.linspace(3, 0.2, d))
    return (features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)).astype(np.float16)


def in_chunks(features_ND: NDArray[np.float16]) -> Callable[[], Iterable[NDArray[np.float16]]]:
    return lambda: np.array_split(features_ND, 3)


@pytest.mark.parametrize(("n", "limit"), [(200, 4), (200, 100), (5, 100), (2, 100)])
def test_principal_components_divided_by_the_root_of_their_deviation(
    monkeypatch: pytest.MonkeyPatch, n: int, limit: int
) -> None:
    monkeypatch.setattr(module, "MAX_NUMBERS", limit)
    features_ND = draw(n, 9)
    vectors_Nd = fit_projection(in_chunks(features_ND))(torch.from_numpy(features_ND).float()).numpy()
    centred_ND = features_ND.astype(np.float64) - features_ND.astype(np.float64).mean(0)
    _, deviation_D, components_DD = np.linalg.svd(centred_ND / np.sqrt(n), full_matrices=False)
    numbers = min(limit, n - 1, 9)
    expected_Nd = centred_ND @ components_DD[:numbers].T / np.sqrt(deviation_D[:numbers])
    expected_Nd /= np.linalg.norm(expected_Nd, axis=1, keepdims=True)
    assert vectors_Nd.shape == (n, numbers)
    np.testing.assert_allclose(vectors_Nd @ vectors_Nd.T, expected_Nd @ expected_Nd.T, atol=1e-4)


def test_equal_photos_a_single_one_and_long_features(monkeypatch: pytest.MonkeyPatch) -> None:
    for features_ND in (np.repeat(draw(1, 6), 8, axis=0), draw(1, 6)):
        vectors_Nd = fit_projection(lambda rows=features_ND: [rows])(torch.from_numpy(features_ND).float())
        assert torch.isfinite(vectors_Nd).all()
    monkeypatch.setattr(module, "MAX_FEATURE", 5)
    features_ND = draw(20, 6)
    vectors_Nd = fit_projection(in_chunks(features_ND))(torch.from_numpy(features_ND).float())
    torch.testing.assert_close(vectors_Nd, torch.nn.functional.normalize(torch.from_numpy(features_ND).float()))
