"""ncm and lda against their formulas, by plain loops over the photos."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prodrec.core.base.errors import BadOption
from prodrec.models.second_stage import class_means, gaussians
from prodrec.models.second_stage.features import FrozenFeatures
from prodrec.models.second_stage.settings import SecondStage

from .conftest import D, draw_features, fit


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks of photos and of classes."""
    monkeypatch.setattr(class_means, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(class_means, "CLASSES_AT_ONCE", 3)
    monkeypatch.setattr(gaussians, "CLASSES_AT_ONCE", 3)


def samples(features: FrozenFeatures) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return all views as samples and their classes."""
    return (
        features.values_NVD.reshape(-1, D).astype(np.float64),
        np.repeat(features.class_N, features.views),
    )


def means_and_covariance(features: FrozenFeatures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x_MD, class_M = samples(features)
    mean_CD = np.stack([x_MD[class_M == c].mean(0) for c in range(6)])
    z_MD = x_MD - mean_CD[class_M]
    return mean_CD, sum(np.outer(z, z) for z in z_MD) / len(z_MD)


def log_softmax(scores_QC: NDArray[np.float64]) -> NDArray[np.float64]:
    return torch.from_numpy(scores_QC).log_softmax(1).numpy()


def scores(classifier: Any, x_QD: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = classifier.scores(torch.from_numpy(x_QD).float()).detach().double().numpy()
    return values


@pytest.mark.parametrize("views", [1, 2])
def test_ncm_is_the_class_with_the_nearest_mean(views: int) -> None:
    features = draw_features(views=views)
    classifier, facts = fit(SecondStage("ncm"), features)
    mean_CD, covariance_DD = means_and_covariance(features)
    query_QD = np.random.default_rng(8).normal(size=(50, D)) * 2
    distance_QC = np.array([[np.sum((x - mean) ** 2) for mean in mean_CD] for x in query_QD])
    assert facts["variance"] == pytest.approx(np.trace(covariance_DD) / D, rel=1e-6)
    given = scores(classifier, query_QD)
    assert np.array_equal(given.argmax(1), distance_QC.argmin(1))
    expected = log_softmax(-distance_QC / (2 * facts["variance"]))
    np.testing.assert_allclose(log_softmax(given[:, :6]), expected, atol=1e-3)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("shrinkage", [None, 0.0, 0.3, 1.0])
def test_lda_has_the_posterior_of_gaussians_with_one_covariance(views: int, shrinkage: float | None) -> None:
    features = draw_features(views=views)
    classifier, facts = fit(SecondStage("lda", shrinkage=shrinkage), features)
    mean_CD, covariance_DD = means_and_covariance(features)
    s = facts["shrinkage"] if shrinkage is None else shrinkage
    sigma_DD = (1 - s) * covariance_DD + s * np.trace(covariance_DD) / D * np.eye(D)
    query_QD = np.random.default_rng(8).normal(size=(50, D)) * 2
    density_QC = np.array([[-0.5 * (x - m) @ np.linalg.solve(sigma_DD, x - m) for m in mean_CD] for x in query_QD])
    given = scores(classifier, query_QD)
    np.testing.assert_allclose(log_softmax(given[:, :6]), log_softmax(density_QC), atol=2e-3)
    assert given[:, 6].tolist() == [gaussians.LOW_SCORE] * 50


def test_the_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    """Their estimators m, d², b̄² of §3.3 by a loop over the samples: b̄² = 1/M² Σ_i ||z_i z_iᵀ − S||²."""
    features = draw_features(counts=(9, 5, 3, 2, 2, 1, 0))
    _, facts = fit(SecondStage("lda"), features)
    mean_CD, s_DD = means_and_covariance(features)
    x_MD, class_M = samples(features)
    m = np.trace(s_DD) / D
    d2 = np.sum((s_DD - m * np.eye(D)) ** 2) / D
    z_MD = x_MD - mean_CD[class_M]
    b2 = sum(np.sum((np.outer(z, z) - s_DD) ** 2) for z in z_MD) / D / len(z_MD) ** 2
    assert 0.05 < facts["shrinkage"] < 0.95
    assert facts["shrinkage"] == pytest.approx(min(b2, d2) / d2, rel=1e-5)


def test_classes_that_have_one_photo_each() -> None:
    """ncm needs no variance; lda cannot be fitted, and the remedies that it names can."""
    features = draw_features(counts=(1,) * 6)
    assert fit(SecondStage("ncm"), features)[1] == {"variance": 1.0, "scale": None, "logit_adjustment": 1.0}
    with pytest.raises(BadOption, match=r"no class has two different training photos; use --method ncm or crt\.$"):
        fit(SecondStage("lda"), features)
    fit(SecondStage("crt", epochs=1.0), features)


def test_lda_refuses_what_it_cannot_invert(monkeypatch: pytest.MonkeyPatch) -> None:
    few = draw_features(counts=(2, 2))
    with pytest.raises(BadOption, match=r"--shrinkage 0: the covariance of 6 numbers from 4 photos has no inverse"):
        fit(SecondStage("lda", shrinkage=0.0), few)
    fit(SecondStage("lda", shrinkage=0.1), few)
    fit(SecondStage("lda"), few)
    monkeypatch.setattr(gaussians, "LARGEST_WIDTH", 5)
    with pytest.raises(BadOption, match=r"features have 6 numbers.*use --method ncm"):
        fit(SecondStage("lda"), draw_features())
    fit(SecondStage("ncm"), draw_features())


def test_the_best_class_of_the_cosine_has_the_weights_of_unit_length() -> None:
    """As the module claims: argmax cos(x, μ_c) = argmax x · μ_c / ||μ_c||, with scores of ||x|| times the cosine."""
    mean_CD = means_and_covariance(draw_features())[0]
    query_QD = np.random.default_rng(8).normal(size=(50, D))
    unit_CD = mean_CD / np.linalg.norm(mean_CD, axis=1, keepdims=True)
    length_Q1 = np.linalg.norm(query_QD, axis=1, keepdims=True)
    cosine_QC = (query_QD / length_Q1) @ unit_CD.T
    assert np.array_equal((query_QD @ unit_CD.T).argmax(1), cosine_QC.argmax(1))
    np.testing.assert_allclose(query_QD @ unit_CD.T, length_Q1 * cosine_QC)
