"""tau-norm against its formula, and the choice of τ by a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prodrec.models.second_stage import tau_norm
from prodrec.models.second_stage.settings import SecondStage
from prodrec.models.second_stage.tau_norm import PAPER_TAU, TAUS

from .conftest import IMAGES_C, draw_features, fit, frozen_classifier


@pytest.mark.parametrize("tau", [0.0, 0.4, 1.0])
def test_weights_are_divided_by_a_power_of_their_length(tau: float) -> None:
    classifier, facts = fit(SecondStage("tau-norm", tau=tau), None)
    before_CD = frozen_classifier().weight.detach().double().numpy()
    lengths_C = np.array([np.sqrt((w**2).sum()) for w in before_CD])
    expected_CD = np.stack([w / length**tau for w, length in zip(before_CD, lengths_C, strict=True)])
    weight_CD = classifier.weight.detach().double().numpy()
    factor_CD = weight_CD / expected_CD
    np.testing.assert_allclose(factor_CD, factor_CD[0, 0], rtol=1e-5)  # one factor, for the scale
    assert np.linalg.norm(weight_CD, axis=1).mean() == pytest.approx(lengths_C.mean(), rel=1e-6)
    assert not classifier.bias.any() and facts == {"tau": tau, "scale": None, "logit_adjustment": 1.0}


def test_tau_has_the_best_mean_accuracy_of_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tau_norm, "ROWS_AT_ONCE", 10)
    validation = draw_features(seed=9, counts=(30, 12, 8, 8, 5, 4, 3))
    classifier, facts = fit(SecondStage("tau-norm"), None, validation)
    before_CD = frozen_classifier().weight.detach()
    accuracies = {}
    for tau in TAUS:
        weight_CD = before_CD / before_CD.norm(dim=1, keepdim=True) ** tau
        best_M = (torch.from_numpy(validation.values_NVD[:, 0]) @ weight_CD.t()).argmax(1).numpy()
        per_class = [(best_M[validation.class_N == c] == c).mean() for c in np.unique(validation.class_N)]
        accuracies[str(tau)] = float(np.mean(per_class))
    assert facts["validation_macc"] == pytest.approx(accuracies)
    assert len({round(value, 6) for value in accuracies.values()}) > 2
    assert facts["tau"] == float(max(accuracies, key=lambda key: accuracies[key]))
    assert facts["validation_photos"] == len(validation)
    again, _ = fit(SecondStage("tau-norm", tau=facts["tau"]), None)
    torch.testing.assert_close(again.weight * facts["scale"], classifier.weight)


def test_without_validation_photos_tau_is_that_of_the_paper() -> None:
    assert fit(SecondStage("tau-norm"), None)[1] == {"tau": PAPER_TAU, "scale": None, "logit_adjustment": 1.0}


def test_a_class_without_weights_keeps_none() -> None:
    from contextlib import nullcontext

    from prodrec.models.second_stage.fit import fit_classifier

    frozen = frozen_classifier()
    with torch.no_grad():
        frozen.weight[2] = 0
    classifier, _ = fit_classifier(
        frozen,
        SecondStage("tau-norm", tau=1.0),
        train_images_C=IMAGES_C,
        training=None,
        validation=None,
        autocast=nullcontext,
    )
    assert not classifier.weight[2].any() and classifier.weight.isfinite().all()
