"""Drawn features of long-tailed classes, and fits on one rank or several."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prodrec.core.base import dist
from prodrec.models.classifier.classifier import Classifier
from prodrec.models.second_stage.features import FrozenFeatures
from prodrec.models.second_stage.fit import fit_classifier
from prodrec.models.second_stage.settings import SecondStage

D, CLASSES = 6, 7
COUNTS = (40, 20, 9, 5, 3, 1, 0)  # the last class has no photo
IMAGES_C = torch.tensor(COUNTS)
CENTRES_CD = np.random.default_rng(5).normal(size=(CLASSES, D)) * 2


def draw_features(*, views: int = 1, seed: int = 0, counts: tuple[int, ...] = COUNTS) -> FrozenFeatures:
    """Return features around the centre of their class, in a random order of the classes."""
    random = np.random.default_rng(seed)
    class_N = random.permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)
    mix_DD = np.random.default_rng(6).normal(size=(D, D)) / D**0.5
    noise_NVD = random.normal(size=(len(class_N), views, D)) @ mix_DD
    return FrozenFeatures((CENTRES_CD[class_N][:, None] + noise_NVD).astype(np.float32), class_N)


def frozen_classifier(*, sharded: bool = False) -> Classifier:
    """Return a classifier as training may leave it: longer weights for frequent classes, and a bias."""
    torch.manual_seed(1)
    classifier = Classifier(D, CLASSES, sharded=sharded)
    local = slice(classifier.first_class, classifier.first_class + len(classifier.weight))
    with torch.no_grad():
        lengths_C = torch.linspace(3, 0.5, CLASSES)
        classifier.weight.copy_((torch.from_numpy(CENTRES_CD).float() * lengths_C.unsqueeze(1))[local])
        classifier.bias.copy_(torch.linspace(1, -1, CLASSES)[local])
    return classifier


def fit(
    stage: SecondStage, training: FrozenFeatures | None, validation: FrozenFeatures | None = None, **frozen: Any
) -> tuple[Classifier, dict[str, Any]]:
    classifier = frozen_classifier(**frozen)
    return fit_classifier(
        classifier,
        stage,
        train_images_C=IMAGES_C,
        training=training,
        validation=validation,
        autocast=nullcontext,
    )


def fit_on_rank(method: str, options: dict[str, Any], place: str) -> dict[str, Any]:
    """Fit with a shard of the classes on this rank, and return this rank's weights and the facts."""
    torch.set_num_threads(1)
    stage = SecondStage(method, **options)
    training = read_features(Path(place), "training") if stage.uses_training else None
    validation = read_features(Path(place), "validation") if stage.uses_validation else None
    classifier, facts = fit(stage, training, validation, sharded=dist.world_size() > 1)
    return {"weight": classifier.weight.detach().numpy(), "bias": classifier.bias.detach().numpy(), "facts": facts}


def save_features(features: FrozenFeatures, place: Path, name: str) -> None:
    np.save(place / f"{name}.npy", features.values_NVD)
    np.save(place / f"{name}-classes.npy", features.class_N)


def read_features(place: Path, name: str) -> FrozenFeatures:
    return FrozenFeatures.open(place / f"{name}.npy", np.load(place / f"{name}-classes.npy"))
