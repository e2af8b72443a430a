"""The factor of the scores and the prior that they lack have the smallest loss on the validation photos."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage import calibration
from prodrec.models.second_stage.calibration import LOW_SCORE, calibrate
from prodrec.models.second_stage.settings import POSSIBLE_PRIORS, SecondStage

from .conftest import COUNTS, IMAGES_C, D, draw_features, fit, frozen_classifier


@pytest.mark.parametrize("priors", [(1.0,), POSSIBLE_PRIORS])
def test_factor_and_prior_have_the_smallest_loss_by_a_plain_search(
    monkeypatch: pytest.MonkeyPatch, priors: tuple[float, ...]
) -> None:
    monkeypatch.setattr(calibration, "ROWS_AT_ONCE", 9)
    validation = draw_features(seed=9, counts=(30, 12, 8, 8, 5, 4, 3))
    validation.values_NVD[:] += np.random.default_rng(1).normal(size=validation.values_NVD.shape) * 3  # some errors
    classifier = frozen_classifier()
    classifier.set_prior(IMAGES_C)
    with torch.no_grad():
        classifier.bias[6] = LOW_SCORE  # a class without training photos; its validation photos do not count
    before_C, weight_CD = classifier.bias.detach().clone(), classifier.weight.detach().clone()
    factor, prior = calibrate(classifier, validation, priors=priors)
    assert factor is not None and 0.02 < factor < 0.9 and prior in priors
    counted = validation.class_N < 6
    x_MD, labels_M = validation.values_NVD[counted, 0].astype(float), validation.class_N[counted]
    scores_MC = x_MD @ weight_CD[:6].double().numpy().T + before_C[:6].double().numpy()
    log_prior_C = np.log(np.maximum(COUNTS, 1) / np.maximum(COUNTS, 1).sum())[:6]

    def loss(a: float, t: float) -> float:
        log_p_MC = torch.from_numpy(a * scores_MC + t * log_prior_C).log_softmax(1).numpy()
        return float(-log_p_MC[np.arange(len(labels_M)), labels_M].mean())

    losses = {(a, t): loss(a, t) for a in np.geomspace(factor / 8, factor * 8, 241) for t in priors}
    best_factor, best_prior = min(losses, key=lambda key: losses[key])
    assert best_factor == pytest.approx(factor, rel=0.04) and best_prior == prior
    torch.testing.assert_close(classifier.weight.detach(), weight_CD * factor)
    torch.testing.assert_close(classifier.bias.detach()[:6], before_C[:6] * factor)
    assert float(classifier.bias.detach()[6]) == LOW_SCORE


@pytest.mark.parametrize("contained", [0.0, 1.0])
def test_scores_that_contain_the_prior_lack_none_of_it(contained: float) -> None:
    """Gaussian classes of known density: with the prior in the scores t is 0, without it 1."""
    random = np.random.default_rng(0)
    centres_CD = random.normal(size=(7, D))
    validation = draw_features(counts=(400, 200, 100, 50, 20, 20, 10))
    validation.values_NVD[:, 0] = centres_CD[validation.class_N] + random.normal(size=(len(validation), D))
    images_C = torch.tensor([400, 200, 100, 50, 20, 20, 10])
    classifier = Classifier(D, 7, train_images_C=images_C)
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(centres_CD))
        classifier.bias.copy_(torch.from_numpy(-(centres_CD**2).sum(1) / 2))
        classifier.bias += contained * (images_C / images_C.sum()).log()
    factor, prior = calibrate(classifier, validation, priors=POSSIBLE_PRIORS)
    assert factor == pytest.approx(1, abs=0.15) and prior == 1 - contained


def test_no_photo_to_calibrate_on() -> None:
    classifier = frozen_classifier()
    before_CD = classifier.weight.detach().clone()
    assert calibrate(classifier, None, priors=POSSIBLE_PRIORS) == (None, 1.0)
    with torch.no_grad():
        classifier.bias[:] = LOW_SCORE
    assert calibrate(classifier, draw_features(), priors=(1.0,)) == (None, 1.0)
    assert torch.equal(classifier.weight, before_CD)


@pytest.mark.parametrize("method", ["ncm", "lda", "tau-norm"])
def test_calibration_changes_no_class(method: str) -> None:
    stage = SecondStage(method, tau=0.5) if method == "tau-norm" else SecondStage(method)
    training = draw_features() if stage.uses_training else None
    plain, _ = fit(stage, training)
    calibrated, facts = fit(stage, training, draw_features(seed=9, counts=(9, 8, 7, 6, 5, 4, 3)))
    query_QD = torch.from_numpy(draw_features(seed=4).values_NVD[:, 0])
    assert facts["scale"] != 1
    assert torch.equal(plain.scores(query_QD).argmax(1), calibrated.scores(query_QD).argmax(1))
