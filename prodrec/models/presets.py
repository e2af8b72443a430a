"""Presets: the settings of a training that the user does not choose, from the dataset, the machine and the time.

`paper` is the recipe of the family's paper. The other presets differ in their time: photos are trained at the size that
they have, up to a limit, and as often as the time allows. All other values were found on the validation photos of a
fashion catalogue (examples/LOG.md).

This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from prodrec.core.base.config import format_value
from prodrec.core.base.errors import BadOption
from prodrec.core.data.photos.config import format_size
from prodrec.models.families import Recipe

PAPER = "paper"
MINUTES = {"auto": 20.0, "fast": 5.0, "best": 120.0}
"""The minutes of each preset but `paper`."""
PRESETS = (*MINUTES, PAPER)

CPU_BACKBONE, GPU_BACKBONE = "mobilenet_v2", "resnet50"
CPU_PIXELS, GPU_PIXELS = 128 * 128, 224 * 224
"""Pixels of a photo, at most."""
SMALLEST_SIDE = 48
FEWEST_PIXELS = 64 * 64
"""Photos of less than twice these pixels are not made smaller to save time."""
SCALES = (1.0, 0.75, 0.5)
"""Sides that are tried, as shares of the first one, until the time is enough for ENOUGH_EPOCHS."""
ENOUGH_EPOCHS, FEWEST_EPOCHS = 6, 4
"""FEWEST_EPOCHS are trained even if they take longer, unless the user has set the time: fewer leave the model
unfinished, and a busy machine measures too long a time."""
MAX_EPOCHS, MAX_EPOCHS_OF_FEW_PHOTOS, ENOUGH_STEPS = 16, 60, 800
"""More than MAX_EPOCHS are trained only until there are ENOUGH_STEPS."""
OTHER_WORK = 1.25
"""Time of a training with validation and neighbours, as a multiple of that of its steps."""
SAME_ASPECT = 1.03
"""Largest quotient of aspect ratios that count as the same one."""


@dataclass(frozen=True)
class Budget:
    """The time of a training in minutes, and whether it is a limit that the user has set."""

    minutes: float
    is_limit: bool = False


@dataclass(frozen=True)
class Situation:
    """What the settings depend on.

    train_photos: number of training photos or feature vectors
    photo_size:   median height and width of the stored photos in pixels; None for feature vectors
    same_aspect:  whether nearly all photos have the same aspect ratio
    gpu:          whether a GPU trains
    weights_of:   the backbone whose weights the user has given, if it is known
    """

    train_photos: int
    photo_size: tuple[int, int] | None
    same_aspect: bool
    gpu: bool
    weights_of: str | None = None


@dataclass(frozen=True)
class Choice:
    """A setting that the user did not choose, its value as `--set` accepts it, and the reason."""

    key: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}: {self.reason}"


def choose_settings(
    recipe: Recipe,
    explicit: Collection[str],
    situation: Situation,
    *,
    budget: Budget,
    seconds_per_photo: Callable[[Recipe], float],
) -> tuple[Recipe, list[Choice]]:
    """Return the recipe with all settings that are not `explicit` chosen, and the choices.

    seconds_per_photo: measures the time of training a recipe, for one photo

    Raise BadOption if not even one epoch fits into a time that the user has set.
    """
    chooser = _Chooser(recipe, explicit)
    _choose_inputs(chooser, situation)
    _choose_optimiser(chooser, situation)
    _choose_titles(chooser)
    _choose_duration(chooser, situation, budget, seconds_per_photo)
    return chooser.recipe, chooser.choices


class _Chooser:
    """Sets settings of a recipe unless they are explicit, and keeps the reasons."""

    def __init__(self, recipe: Recipe, explicit: Collection[str]) -> None:
        self.recipe = recipe
        self.papers_batch_size = recipe.training.batch_size
        self.explicit = explicit
        self.choices: list[Choice] = []

    def __call__(self, reason: str, **values: Any) -> None:
        texts = {key: f"{value:g}" if type(value) is float else format_value(value) for key, value in values.items()}
        free = {key: text for key, text in texts.items() if key not in self.explicit}
        self.recipe = self.recipe.with_settings(free, source="preset")
        self.choices = [choice for choice in self.choices if choice.key not in free]
        self.choices += [Choice(key, value, reason) for key, value in free.items()]


def _choose_inputs(choose: _Chooser, situation: Situation) -> None:
    if situation.photo_size is None:
        choose("a hidden layer learns from feature vectors", embed=768)
        return
    if situation.weights_of is not None:
        choose("the weights are of this network", backbone=situation.weights_of)
    elif situation.gpu:
        choose("accurate, and fast on a GPU", backbone=GPU_BACKBONE)
    else:
        choose("the most accurate network measured that a CPU trains in minutes", backbone=CPU_BACKBONE)
    size = _image_size(situation, scale=1.0)
    choose("the size of the photos" if situation.same_aspect else "a square of the size of the photos", image_size=size)
    choose("products fill their photos: small crops would miss them", crop_area=(0.6, 1.0))


def _image_size(situation: Situation, *, scale: float) -> str:
    assert situation.photo_size is not None
    height, width = situation.photo_size
    limit = GPU_PIXELS if situation.gpu else CPU_PIXELS
    if not situation.same_aspect:
        height = width = min(height, width)
    pixels = height * width
    if pixels < 2 * FEWEST_PIXELS:
        scale = 1.0
    shrink = max(scale * min(1.0, math.sqrt(limit / pixels)), SMALLEST_SIDE / min(height, width))
    return format_size(round(height * shrink), round(width * shrink))


def _choose_optimiser(choose: _Chooser, situation: Situation) -> None:
    photos = situation.train_photos
    if situation.photo_size is None:
        batch_size = 256
    elif situation.gpu and photos >= 20_000:
        batch_size = 128
    else:
        batch_size = 64
    while batch_size > 8 and photos / batch_size < 20:
        batch_size //= 2
    choose("about 20 steps an epoch or more", batch_size=batch_size)
    choose("smooth, with a short warm-up", schedule="cosine")
    if "optimizer" in choose.explicit and choose.recipe.training.optimizer == "sgd":
        share = min(1.0, choose.recipe.training.batch_size / choose.papers_batch_size)
        choose("the paper's, in proportion to the batch", lr=choose.recipe.training.lr * share)
        return
    choose("needs fewer epochs than SGD", optimizer="adamw", momentum=0.9, weight_decay=0.02)
    pretrained = choose.recipe.network.weights is not None
    if situation.photo_size is None:
        choose("for adamw and one hidden layer", lr=0.002)
    elif pretrained:
        choose("for adamw and a pretrained backbone", lr=0.001, backbone_lr_scale=0.3)
        choose("statistics of small, similar batches would degrade those of the weights", freeze_batch_norm=True)
    else:
        choose("for adamw and random weights", lr=0.003, backbone_lr_scale=1.0)


def _choose_titles(choose: _Chooser) -> None:
    if choose.recipe.family == "titled":
        choose("titles are at hand when recognising, complete", word_dropout=0.0, title_loss_weight=1.0)
    elif choose.recipe.network.titles is not None:
        choose("titles often name the class, which would leave the photo nothing to learn", word_dropout=0.5)
        choose("the best value on every catalogue measured", title_loss_weight=0.3)


def _choose_duration(
    choose: _Chooser, situation: Situation, budget: Budget, seconds_per_photo: Callable[[Recipe], float]
) -> None:
    """Choose the number of epochs, and a smaller photo if there would be too few."""
    choose("set below", warmup_epochs=0.0)
    epochs = 0.0
    for scale in SCALES if situation.photo_size is not None and "image_size" not in choose.explicit else (1.0,):
        if scale < 1:
            smaller = _image_size(situation, scale=scale)
            if smaller == choose.recipe.photos.image_size:
                break
            choose("a smaller photo, for enough epochs in the time", image_size=smaller)
        seconds_per_epoch = seconds_per_photo(choose.recipe) * situation.train_photos * OTHER_WORK
        epochs = budget.minutes * 60 / seconds_per_epoch
        if epochs >= ENOUGH_EPOCHS:
            break
    if "epochs" not in choose.explicit and epochs < 1 and budget.is_limit:
        raise BadOption(
            f"--time: an epoch of {situation.train_photos:,} photos takes about {seconds_per_epoch / 60:,.1f} minutes; "
            f"give at least --time {math.ceil(seconds_per_epoch / 60)}m, or smaller photos with --set image_size=64."
        )
    steps_per_epoch = max(1.0, situation.train_photos / choose.recipe.training.batch_size)
    most = min(MAX_EPOCHS_OF_FEW_PHOTOS, max(MAX_EPOCHS, math.ceil(ENOUGH_STEPS / steps_per_epoch)))
    epochs = float(min(most, int(max(1 if budget.is_limit else FEWEST_EPOCHS, epochs))))
    reason = f"about {epochs * seconds_per_epoch / 60:,.0f} minutes here"
    if epochs == most:
        reason += "; more epochs add little"
    elif epochs * seconds_per_epoch > budget.minutes * 60:
        reason += "; fewer would leave the model unfinished, --time sets a limit"
    choose(reason, epochs=epochs)
    training = choose.recipe.training
    shortest = min(training.head_epochs or training.epochs, training.epochs - training.head_epochs)
    choose("a tenth of the training, half an epoch at most", warmup_epochs=min(0.5, shortest / 10))
