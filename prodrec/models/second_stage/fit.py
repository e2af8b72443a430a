"""Fit the classifier of a second stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from prodrec.models.classifier.classifier import Classifier
from prodrec.models.classifier.score_buffer import DEFAULT_LIMIT_GIB
from prodrec.models.second_stage.calibration import calibrate
from prodrec.models.second_stage.features import FrozenFeatures
from prodrec.models.second_stage.gaussians import fit_lda, fit_ncm
from prodrec.models.second_stage.retraining import Autocast, fit_crt, fit_lws
from prodrec.models.second_stage.settings import BALANCED_PRIOR, DEFAULT_EPOCHS, SecondStage
from prodrec.models.second_stage.tau_norm import fit_tau_norm


def fit_classifier(
    frozen: Classifier,
    stage: SecondStage,
    *,
    train_images_C: Tensor,
    training: FrozenFeatures | None,
    validation: FrozenFeatures | None,
    autocast: Autocast,
    buffer_gib: float = DEFAULT_LIMIT_GIB,
) -> tuple[Classifier, dict[str, Any]]:
    """Return a new classifier with the shape and the shard of `frozen`, and facts about its fit as plain values.

    The fact `logit_adjustment` is the τ of the training that the new scores correspond to.

    stage:          with a seed, where it has an effect
    train_images_C: number of training images of every class
    training:       features of the training photos; None if `uses_training` of the stage is false
    validation:     features of the validation photos; None if there are none, or `uses_validation` is false
    buffer_gib:     largest score buffer in GiB

    All ranks must call this. Raise BadOption as `fit_lda` does.
    """
    device, weight_ND = frozen.weight.device, frozen.weight.detach()
    torch.manual_seed(stage.seed or 0)
    new = Classifier(weight_ND.shape[1], frozen.classes, sharded=frozen.shard is not None, buffer_gib=buffer_gib).to(
        device
    )
    options: dict[str, Any] = {
        "epochs": stage.epochs or DEFAULT_EPOCHS,
        "lr": stage.lr,
        "seed": stage.seed or 0,
        "autocast": autocast,
    }
    assert (training is not None) == stage.uses_training
    fits: dict[str, Callable[[Any], dict[str, Any]]] = {
        "crt": lambda features: fit_crt(new, features, **options),
        "lws": lambda features: fit_lws(new, weight_ND, features, **options),
        "tau-norm": lambda _: fit_tau_norm(new, weight_ND, validation, tau=stage.tau),
        "ncm": lambda features: fit_ncm(new, features),
        "lda": lambda features: fit_lda(new, features, shrinkage=stage.shrinkage),
    }
    facts = fits[stage.method](training)
    facts["logit_adjustment"] = BALANCED_PRIOR
    if stage.uses_validation:
        new.set_prior(train_images_C)
        facts["scale"], facts["logit_adjustment"] = calibrate(new, validation, priors=stage.priors)
    return new, facts
