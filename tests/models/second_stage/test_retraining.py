"""crt and lws against plain training loops, and what class-balanced sampling makes of a long tail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage import retraining
from prodrec.models.second_stage.features import FrozenFeatures
from prodrec.models.second_stage.sampling import ClassBalancedSampler
from prodrec.models.second_stage.settings import SecondStage

from .conftest import CLASSES, D, draw_features, fit, frozen_classifier

EPOCHS, SEED = 20.0, 3


def steps_of(features: FrozenFeatures) -> Any:
    """Yield features, labels and the factor of the learning rate of every step."""
    sampler = ClassBalancedSampler(features.class_N, views=features.views, seed=SEED)
    steps = math.ceil(EPOCHS * len(features) / retraining.DRAWS)
    for step in range(steps):
        rows, views = sampler.draw(step, retraining.DRAWS)
        x_BD, labels_B = features.values_NVD[rows, views], torch.from_numpy(features.class_N[rows])
        yield torch.from_numpy(x_BD), labels_B, (1 + math.cos(math.pi * step / steps)) / 2


@pytest.mark.parametrize("views", [1, 2])
def test_crt_trains_a_new_classifier_on_scaled_features(views: int) -> None:
    features = draw_features(views=views)
    classifier, facts = fit(SecondStage("crt", epochs=EPOCHS, seed=SEED, lr=0.02), features)
    torch.manual_seed(SEED)
    plain = Classifier(D, CLASSES)
    weight = torch.nn.Parameter(plain.weight.detach().clone())
    bias = torch.nn.Parameter(torch.zeros(CLASSES))
    all_MD = torch.from_numpy(features.values_NVD).reshape(-1, D).double()
    mean_D, deviation_D = all_MD.mean(0).float(), all_MD.std(0, correction=0).float()
    groups = [
        {"params": [weight], "weight_decay": retraining.CRT_WEIGHT_DECAY},
        {"params": [bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.02)
    losses = []
    for x_BD, labels_B, factor in steps_of(features):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * factor
        loss = F.cross_entropy(F.linear((x_BD - mean_D) / deviation_D, weight, bias), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    query_QD = torch.from_numpy(draw_features(seed=1).values_NVD[:, 0])
    expected_QC = F.linear((query_QD - mean_D) / deviation_D, weight, bias)
    torch.testing.assert_close(classifier.scores(query_QD), expected_QC, atol=1e-3, rtol=1e-3)
    assert facts["loss"] == pytest.approx(np.mean(losses[-max(1, len(losses) // 10) :]), rel=1e-3)


def test_lws_trains_one_scale_for_each_class() -> None:
    features = draw_features()
    classifier, _ = fit(SecondStage("lws", epochs=EPOCHS, seed=SEED, lr=0.05), features)
    frozen_CD = frozen_classifier().weight.detach()
    scale_C = torch.nn.Parameter(torch.ones(CLASSES))
    optimizer = torch.optim.AdamW([scale_C], lr=0.05, weight_decay=0.0)
    for x_BD, labels_B, factor in steps_of(features):
        optimizer.param_groups[0]["lr"] = 0.05 * factor
        loss = F.cross_entropy(x_BD @ (scale_C.unsqueeze(1) * frozen_CD).t(), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(classifier.weight.detach() / frozen_CD, scale_C.detach().unsqueeze(1).expand(-1, D))
    assert (scale_C - 1).abs().max() > 0.05 and not classifier.bias.any()


def test_features_that_do_not_vary_stay_harmless() -> None:
    """A dead ReLU, and one that fires for a single photo by rounding."""
    features = draw_features()
    features.values_NVD[:, :, 2] = 5.0
    features.values_NVD[:, :, 4] = 0.0
    features.values_NVD[7, :, 4] = 1e-5
    classifier, facts = fit(SecondStage("crt", epochs=EPOCHS), features)
    assert classifier.weight.isfinite().all() and classifier.bias.isfinite().all() and math.isfinite(facts["loss"])
    assert classifier.weight[:, 4].abs().max() < 10


@pytest.mark.parametrize("method", ["crt", "lws"])
def test_the_scores_have_a_uniform_prior(method: str) -> None:
    """Two classes with the same features, one ten times as frequent: the scores prefer neither."""
    random = np.random.default_rng(0)
    class_N = np.repeat([0, 1, 2], [200, 20, 60]).astype(np.int64)
    values_NVD = random.normal(size=(len(class_N), 1, D)).astype(np.float32) * 0.3
    values_NVD[class_N == 2] += 2
    values_NVD[class_N < 2] -= 1
    features = FrozenFeatures(values_NVD, class_N)
    from contextlib import nullcontext

    from prodrec.models.second_stage.fit import fit_classifier

    torch.manual_seed(0)
    frozen = Classifier(D, 3)
    with torch.no_grad():  # as trained on photos as they come: the rare class has a shorter weight
        frozen.weight.copy_(torch.tensor([[-1.0] * D, [-0.3] * D, [1.0] * D]))
    stage = SecondStage(method, epochs=300.0, lr=0.02, seed=0)
    classifier, _ = fit_classifier(
        frozen,
        stage,
        train_images_C=torch.tensor([200, 20, 60]),
        training=features,
        validation=None,
        autocast=nullcontext,
    )
    scores_C = classifier.scores(torch.full((1, D), -1.0)).detach()[0]
    assert abs(float(scores_C[0] - scores_C[1])) < 0.35 < math.log(10)
    assert scores_C[2] < scores_C[:2].min() - 1
