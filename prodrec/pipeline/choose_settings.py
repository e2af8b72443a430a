"""Choose the settings of a training that the user did not set, from the dataset, the machine and the time."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base import console, dist
from prodrec.core.base.errors import BadOption

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset
    from prodrec.models.families import Recipe
    from prodrec.models.presets import Budget, Choice, Situation

MEASURED_PHOTOS = 32
"""Photos of a measured step."""
TIMED_WORDS = 8
"""Width of the word vectors of a measured network: they take little of the time."""


def read_budget(time: str | None, preset: str) -> Budget | None:
    """Return the time that `--time` sets (90s, 20m, 1.5h, or minutes), or that of the preset; None for preset=paper.

    Raise BadOption for an unknown preset, for text that is no time, and for a time with preset=paper.
    """
    from prodrec.models.presets import MINUTES, PAPER, PRESETS, Budget

    if preset not in PRESETS:
        raise BadOption(f"--preset {preset}: expected {', '.join(PRESETS[:-1])} or {PRESETS[-1]}.")
    if time is None:
        return Budget(MINUTES[preset]) if preset in MINUTES else None
    if preset == PAPER:
        raise BadOption(f"--time {time}: the recipe of a paper has its own number of epochs; omit --time, or --preset.")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|)", time.strip())
    minutes = float(match[1]) * {"s": 1 / 60, "m": 1.0, "": 1.0, "h": 60.0}[match[2]] if match else 0.0
    if not minutes or not math.isfinite(minutes):
        raise BadOption(f"--time {time}: expected a time such as 90s, 20m or 1.5h.")
    return Budget(minutes, is_limit=True)


def choose_recipe(
    data: Dataset, recipe: Recipe, explicit: Collection[str] | None, *, device: str, budget: Budget | None
) -> Recipe:
    """Return the recipe for the dataset, with the settings that are not explicit chosen if there is a time for it.

    explicit: keys that the user has set; None is all of them
    """
    from prodrec.models.backbone_source import source_message, use_source
    from prodrec.models.backbones import describe_source

    adapted = adapt_to(data, recipe, explicit or ())
    source = describe_source(adapted.network.backbone, adapted.network.weights)
    settled: list[str] = []
    if explicit is not None:
        recipe, settled = use_source(recipe, source, explicit)
    if budget is not None:
        recipe, choices = choose_for(recipe, [*(explicit or ()), *settled], data, device=device, budget=budget)
        report_choices(choices, data, budget)
    if source is not None:
        console.info(source_message(recipe, source))
    return adapt_to(data, recipe, explicit or ())


def adapt_to(data: Dataset, recipe: Recipe, explicit: Collection[str]) -> Recipe:
    """Return the recipe for the inputs of the dataset and the number of ranks. Raise BadArtefact or BadOption."""
    from prodrec.models.adapt import adapt_recipe

    data.require_inputs()
    recipe = adapt_recipe(recipe, data.inputs, explicit=explicit, dataset=data.path)
    return replace(recipe, training=recipe.training.on_ranks(dist.world_size()))


def choose_for(
    recipe: Recipe, explicit: Collection[str], data: Dataset, *, device: str, budget: Budget
) -> tuple[Recipe, list[Choice]]:
    """Return the recipe with the settings that are not `explicit` chosen for `data` and this machine, and the choices.

    Raise BadOption if the time is too short. Rank 0 chooses for all ranks; all of them must call this.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.models.presets import choose_settings

    situation = _situation(recipe, explicit, data, gpu=choose_device(device).type == "cuda")
    measured: dict[tuple[str, str], float] = {}

    def seconds_per_photo(candidate: Recipe) -> float:
        key = (candidate.network.backbone, candidate.photos.image_size)
        if key not in measured:
            measured[key] = dist.broadcast(_seconds_per_photo(candidate, data, device))
        return measured[key]

    chosen, choices = choose_settings(recipe, explicit, situation, budget=budget, seconds_per_photo=seconds_per_photo)
    return dist.broadcast(chosen), choices


def report_choices(choices: list[Choice], data: Dataset, budget: Budget) -> None:
    """Print the settings that were chosen, and why."""
    lines = [f"  {choice.key + '=' + choice.value:<28} {choice.reason}" for choice in choices]
    photos = "feature vectors" if data.photos is None else "photos"
    console.info(
        f"settings for {len(data.rows('train')):,} training {photos} and {budget.minutes:g} minutes on this machine "
        "(--preset paper takes those of the paper, --set any other):\n" + "\n".join(lines)
    )


def _situation(recipe: Recipe, explicit: Collection[str], data: Dataset, *, gpu: bool) -> Situation:
    from prodrec.models.identify_weights import identify_weights
    from prodrec.models.presets import SAME_ASPECT, Situation

    weights_of, photo_size, same_aspect = None, None, False
    if "weights" in explicit and "backbone" not in explicit and recipe.network.weights is not None:
        path = Path(recipe.network.weights)
        weights_of = identify_weights(path) if path.exists() else None
    if data.photos is not None:
        width_R, height_R = _photo_sizes(data)
        photo_size = (round(float(np.median(height_R))), round(float(np.median(width_R))))
        low, high = np.quantile(width_R / height_R, [0.05, 0.95])
        same_aspect = bool(high <= low * SAME_ASPECT)
    return Situation(len(data.rows("train")), photo_size, same_aspect, gpu, weights_of)


def _photo_sizes(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the width and height of the training photos as stored, in pixels."""
    sizes = data.products().select("row", "width", "height").sort("row")
    rows = data.rows("train")
    width_R, height_R = (sizes[name].to_numpy()[rows].astype(np.float64) for name in ("width", "height"))
    photos = data.header["photos"]
    if not photos["in_place"]:
        shrink_R = np.minimum(1.0, photos["size"] / np.minimum(width_R, height_R))
        width_R, height_R = width_R * shrink_R, height_R * shrink_R
    return width_R, height_R


def _seconds_per_photo(recipe: Recipe, data: Dataset, device: str) -> float:
    """Return the time of training one photo on one of all ranks, measured in a few steps from random weights."""
    from prodrec.core.training.probe import Probe
    from prodrec.models.adapt import adapt_recipe
    from prodrec.pipeline.build_train_state import build_train_state

    network = replace(recipe.network, weights=None)
    timed = adapt_recipe(replace(recipe, network=network), data.inputs)
    vectors_VE = None
    if network.titles is not None and network.word_vectors == "pretrained":
        vectors_VE = np.ones((len(data.vocabulary), TIMED_WORDS), np.float32)
    photos = min(MEASURED_PHOTOS, timed.training.batch_size, max(1, len(data.rows("train")) // dist.world_size()))
    state = build_train_state(timed, data, vectors_VE, device)
    probe = Probe(state, data, timed.photos, photos_per_rank=photos)
    return probe.seconds_per_batch() / (photos * dist.world_size())
