"""Presets: the settings of a training that the user does not choose, from the dataset, the machine and the time.

`paper` is the recipe of the family's paper. The other presets differ in their time: photos are trained at the size that
they have, up to a limit, and as often as the time allows. All other values were found on the validation photos of a
fashion catalogue (examples/LOG.md).

This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from prodrec.core.base.errors import BadOption
from prodrec.core.training.photo_cost import PhotoCost
from prodrec.models.families import Recipe
from prodrec.models.preset_network import FEWEST_VIEWS, advise, choose_batch_size, choose_network
from prodrec.models.situation import Budget, Choice, Chooser, Machine, Situation

PAPER = "paper"
MINUTES = {"auto": 20.0, "fast": 5.0, "best": 120.0}
"""The minutes of each preset but `paper`."""
PRESETS = (*MINUTES, PAPER)

ENOUGH_EPOCHS, FEWEST_EPOCHS = 6, 4
"""Epochs for which a slower network is chosen: of all stages or with all views, and of the last ones with fewer views.
FEWEST_EPOCHS are trained even if they take longer, unless the user has set the time: fewer leave the model unfinished,
and a busy machine measures too long a time."""
MAX_EPOCHS, MAX_EPOCHS_OF_FEW_PHOTOS, ENOUGH_STEPS = 16, 60, 800
"""More than MAX_EPOCHS are trained only until there are ENOUGH_STEPS."""
START_SHARE = 0.1
"""Largest share of the free memory that a classifier and its optimizer may take to be started from its classes, which
takes another copy of its weights."""
OTHER_WORK = 1.05
"""Time of a training with reading, writing and checkpoints, as a multiple of that which is measured."""


@dataclass(frozen=True)
class Chosen:
    """A recipe, its settings that the user did not choose, and a warning if memory will not be enough for it."""

    recipe: Recipe
    choices: list[Choice]
    warning: str | None = None


def choose_settings(
    recipe: Recipe, explicit: Collection[str], situation: Situation, *, budget: Budget, machine: Machine
) -> Chosen:
    """Return the recipe with all settings that are not `explicit` chosen.

    Raise BadOption if not even one epoch fits into a time that the user has set, or weights and optimizer do not fit
    into memory.
    """
    choose = Chooser(recipe, explicit)
    if situation.photo_size is None:
        choose("a hidden layer learns from feature vectors", embed=768)
    else:
        choose("products fill their photos: small crops would miss them", crop_area=(0.6, 1.0))
    _choose_optimizer(choose, situation)
    _choose_titles(choose)
    choose("set below", warmup_epochs=0.0)

    def is_fast_enough(cost: PhotoCost) -> bool:
        is_short = choose.recipe.network.freeze_until is not None and choose.recipe.photos.views == FEWEST_VIEWS
        epochs = FEWEST_EPOCHS if is_short else ENOUGH_EPOCHS
        return _seconds(choose, situation, cost, epochs) <= 60 * budget.minutes

    cost = choose_network(choose, situation, machine, is_fast_enough)
    choose_batch_size(choose, situation, machine, cost)
    _choose_rates(choose, situation)
    _choose_start(choose, situation, machine)
    _choose_duration(choose, situation, budget, cost)
    state = machine.state_memory(choose.recipe)
    warning = advise(choose, situation, state, photo_bytes=cost.memory_bytes)
    return Chosen(choose.recipe, choose.choices, warning)


def _choose_optimizer(choose: Chooser, situation: Situation) -> None:
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
    # No stop_after: `epochs` fits the time, and a cosine schedule improves a model until its end. On 558 drawn photos,
    # 40 epochs from random weights, two seeds, stop_after=5 ended after 23 and 40 epochs, and the best ones had a test
    # top-1 of 36 and 51 %, in place of 50 and 56 % after the last one.
    choose("smooth, with a short warm-up", schedule="cosine")
    if not _keeps_sgd(choose):
        choose("needs fewer epochs than SGD", optimizer="adamw", momentum=0.9, weight_decay=0.02)


def _keeps_sgd(choose: Chooser) -> bool:
    return not choose.is_free("optimizer") and choose.recipe.training.optimizer == "sgd"


def _choose_rates(choose: Chooser, situation: Situation) -> None:
    if _keeps_sgd(choose):
        papers, batch_size = choose.papers_recipe.training, choose.recipe.training.batch_size
        choose("the paper's, in proportion to the batch", lr=papers.lr * min(1.0, batch_size / papers.batch_size))
    elif situation.photo_size is None:
        choose("for adamw and one hidden layer", lr=0.002)
    elif choose.recipe.network.weights is not None:
        choose("for adamw and a pretrained backbone", lr=0.001, backbone_lr_scale=0.3)
        choose("statistics of small, similar batches would degrade those of the weights", freeze_batch_norm=True)
    else:
        choose("for adamw and random weights", lr=0.003, backbone_lr_scale=1.0)


def _choose_start(choose: Chooser, situation: Situation, machine: Machine) -> None:
    """Start the classifiers from the photos of their classes, if there is a pretrained network to see them."""
    classifier_bytes = machine.state_memory(choose.recipe).classifier
    if _can_start(choose, situation) and classifier_bytes < START_SHARE * situation.memory_bytes:
        choose("learns classes of a few photos in fewer epochs than random rows", classifier_start="class-means")


def _can_start(choose: Chooser, situation: Situation) -> bool:
    network = choose.recipe.network
    return situation.photo_size is not None and network.weights is not None and set(network.heads) != {"attributes"}


def _choose_titles(choose: Chooser) -> None:
    if choose.recipe.family == "titled":
        choose("titles are at hand when recognising, complete", word_dropout=0.0, title_loss_weight=1.0)
    elif choose.recipe.network.titles is not None:
        choose("titles often name the class, which would leave the photo nothing to learn", word_dropout=0.5)
        choose("the best value on every catalogue measured", title_loss_weight=0.3)


def _choose_duration(choose: Chooser, situation: Situation, budget: Budget, cost: PhotoCost) -> None:
    """Choose the number of epochs: as many as fit into the time."""
    minutes_of = {
        epochs: _seconds(choose, situation, cost, epochs) / 60
        for epochs in range(1, _most_epochs(choose, situation) + 1)
    }
    if choose.is_free("epochs") and minutes_of[1] > budget.minutes and budget.is_limit:
        raise BadOption(
            f"--time: an epoch of {situation.train_photos:,} photos takes about {minutes_of[1]:,.1f} minutes; "
            f"give at least --time {math.ceil(minutes_of[1])}m, or smaller photos with --set image_size=64."
        )
    in_time = sum(minutes <= budget.minutes for minutes in minutes_of.values())
    epochs = max(1 if budget.is_limit else FEWEST_EPOCHS, in_time)
    reason = f"about {minutes_of[epochs]:,.0f} minutes here"
    if epochs == len(minutes_of):
        reason += "; more epochs add little"
    elif minutes_of[epochs] > budget.minutes:
        reason += "; fewer would leave the model unfinished, --time sets a limit"
    choose(reason, epochs=float(epochs))
    training = choose.recipe.training
    shortest = min(training.head_epochs or training.epochs, training.epochs - training.head_epochs)
    choose("a tenth of the training, half an epoch at most", warmup_epochs=min(0.5, shortest / 10))


def _most_epochs(choose: Chooser, situation: Situation) -> int:
    steps_per_epoch = max(1.0, situation.train_photos / choose.recipe.training.batch_size)
    return min(MAX_EPOCHS_OF_FEW_PHOTOS, max(MAX_EPOCHS, math.ceil(ENOUGH_STEPS / steps_per_epoch)))


def _seconds(choose: Chooser, situation: Situation, cost: PhotoCost, epochs: float) -> float:
    """Return the time of a training in seconds."""
    recipe = choose.recipe
    starts = recipe.network.classifier_start == "class-means"
    if choose.is_free("classifier_start"):  # it is chosen after the network, whose speed this time decides
        starts = _can_start(choose, situation)
    return OTHER_WORK * cost.training_seconds(
        epochs,
        train_photos=situation.train_photos,
        validation_photos=situation.validation_photos,
        start_photos=situation.start_photos if starts else 0,
        views=recipe.photos.views,
        neighbours=recipe.training.operating_points == "neighbours",
    )
