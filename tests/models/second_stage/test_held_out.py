from __future__ import annotations

import numpy as np

from prodrec.models.second_stage.class_means import Covariance
from prodrec.models.second_stage.held_out import HeldOutGaussians


def test_scores_are_those_of_the_equation() -> None:
    """Computed by plain loops with the covariance itself, in place of sums that are shared among the folds."""
    import torch

    random = np.random.default_rng(0)
    classes, folds = 4, random.integers(0, 3, 200)
    labels = random.integers(-1, 3, 200)  # class 3 has no photo
    x = (random.normal(size=(200, 5)) + 2 * random.normal(size=(4, 5))[labels]).astype(np.float32)
    made = HeldOutGaussians(x, folds, classes=classes)
    made.fit(labels)
    for fold in range(3):
        used = (folds != fold) & (labels >= 0)
        counts = np.bincount(labels[used], minlength=classes)
        means = np.array([x[used & (labels == c)].mean(0) if counts[c] else np.zeros(5) for c in range(classes)])
        residuals = x[used] - means[labels[used]]
        quartic = float(((residuals**2).sum(1) ** 2).sum())
        pooled = Covariance(torch.from_numpy((residuals.T @ residuals / used.sum()).astype(float)), quartic, used.sum())
        sigma = pooled.shrunk(pooled.ledoit_wolf()).numpy()
        white = np.linalg.inv(np.linalg.cholesky(sigma)).T
        centre = means[counts > 0].mean(0)
        means_white = (means - centre) @ white
        b = np.mean([(means_white[c] ** 2).mean() - 1 / counts[c] for c in range(3)])
        rows = np.flatnonzero(folds == fold)
        expected = np.empty((len(rows), classes))
        for c in range(classes):
            mean = means_white[c] * counts[c] * b / (counts[c] * b + 1) * (counts[c] > 0)
            variance = 1 + b / (counts[c] * b + 1)
            distance = (((x[rows] - centre) @ white - mean) ** 2).sum(1)
            expected[:, c] = -5 / 2 * np.log(variance) - distance / (2 * variance)
        np.testing.assert_allclose(made.scores(fold, rows), expected, rtol=2e-3, atol=2e-3)


def test_equal_photos_of_a_class_have_scores() -> None:
    x = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    made = HeldOutGaussians(x, np.arange(12) % 2, classes=3)
    made.fit(np.arange(12) // 4)
    assert (made.scores(0, np.arange(0, 12, 2)).argmax(1) == np.arange(0, 12, 2) // 4).all()
