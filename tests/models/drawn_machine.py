"""A machine whose costs follow formulas, for tests of presets."""

from __future__ import annotations

from dataclasses import dataclass

from prodrec.core.training.state_memory import StateMemory
from prodrec.models.families import Recipe
from prodrec.models.situation import PhotoCost

GIB = 2**30
PARAMETERS = {"resnet50": 23_500_000, "mobilenet_v2": 2_200_000, "resnet18": 11_200_000}
WIDTHS = {"resnet50": 2048, "mobilenet_v2": 1280, "resnet18": 512}
WORK = {"resnet50": 8.0, "mobilenet_v2": 1.0, "resnet18": 3.0}
"""Work for a pixel, relative to that of mobilenet_v2."""
FROZEN_WORK = {None: (1.0, 0.0), "features.10": (0.25, 0.2), "features.14": (0.1, 0.25)}
"""Work of a training step and of the cache, relative to a step of the whole network, by frozen stages."""
PIXEL_BYTES = {"resnet50": 1800, "mobilenet_v2": 1500, "resnet18": 500}
"""Activations in float32 that autograd stores for a pixel of a photo."""


@dataclass
class DrawnMachine:
    """A machine that trains `speed` pixels a second with mobilenet_v2, and a dataset of `classes` classes."""

    speed: float
    classes: int = 100
    measured: tuple[Recipe, ...] = ()

    def state_memory(self, recipe: Recipe) -> StateMemory:
        """Return weights in float32, with two states of adamw or one of sgd; the classifier has no gradient."""
        backbone, states = 4 * PARAMETERS[recipe.network.backbone], {"adamw": 2, "sgd": 1}[recipe.training.optimizer]
        width = recipe.network.embed or WIDTHS[recipe.network.backbone]
        classifier = 4 * self.classes * (width + 1)
        return StateMemory(
            weights=backbone + classifier,
            copies=0,
            gradients=backbone,
            optimizer=states * (backbone + classifier),
            classifier=(1 + states) * classifier,
            classifier_width=width,
        )

    def photo_cost(self, recipe: Recipe) -> PhotoCost:
        """Return costs in proportion to the pixels."""
        self.measured = (*self.measured, recipe)
        backbone, pixels = recipe.network.backbone, recipe.photos.height * recipe.photos.width
        trained, cached = FROZEN_WORK[recipe.network.freeze_until]
        seconds = pixels * WORK[backbone] / self.speed
        return PhotoCost(
            seconds * trained, pixels * PIXEL_BYTES[backbone] + 4 * self.classes, seconds / 4, seconds * cached
        )
