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
    from prodrec.models.presets import Chosen
    from prodrec.models.situation import Budget, Choice, Situation


def read_budget(time: str | None, preset: str) -> Budget | None:
    """Return the time that `--time` sets (90s, 20m, 1.5h, or minutes), or that of the preset; None for preset=paper.

    Raise BadOption for an unknown preset, for text that is no time, and for a time with preset=paper.
    """
    from prodrec.models.presets import MINUTES, PAPER, PRESETS
    from prodrec.models.situation import Budget

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
    data: Dataset,
    recipe: Recipe,
    explicit: Collection[str] | None,
    *,
    device: str,
    budget: Budget | None,
    workers: int | None = None,
    warns: bool = True,
) -> Recipe:
    """Return the recipe for the dataset, with the settings that are not explicit chosen if there is a time for it.

    explicit: keys that the user has set; None is all of them
    workers:  processes that load photos; None is the default
    warns:    print a warning if memory will not be enough
    """
    from prodrec.models.backbone_source import source_message, use_source
    from prodrec.models.backbones import describe_source

    adapted = adapt_to(data, recipe, explicit or ())
    source = describe_source(adapted.network.backbone, adapted.network.weights)
    settled: list[str] = []
    if explicit is not None:
        recipe, settled = use_source(recipe, source, explicit)
    if budget is not None:
        keys = [*(explicit or ()), *settled]
        chosen = choose_for(recipe, keys, data, device=device, budget=budget, workers=workers)
        report_choices(chosen.choices, data, budget)
        if chosen.warning is not None and warns:
            console.warn(chosen.warning)
        recipe = chosen.recipe
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
    recipe: Recipe,
    explicit: Collection[str],
    data: Dataset,
    *,
    device: str,
    budget: Budget,
    workers: int | None = None,
) -> Chosen:
    """Return the recipe with the settings that are not `explicit` chosen for `data` and this machine.

    Raise BadOption if the time is too short, or memory is too small for the weights. All ranks must call this, and
    choose the same.
    """
    from prodrec.core.base.device import choose_device, choose_workers
    from prodrec.models.presets import choose_settings
    from prodrec.pipeline.this_machine import ThisMachine

    situation = dist.broadcast(_situation(recipe, explicit, data, device=device))  # machines may differ
    loaders = choose_workers(workers, choose_device(device), photos=data.photos is not None)
    machine = ThisMachine(data, device, workers=loaders)
    return choose_settings(recipe, explicit, situation, budget=budget, machine=machine)


def report_choices(choices: list[Choice], data: Dataset, budget: Budget) -> None:
    """Print the settings that were chosen, and why."""
    lines = [f"  {choice.key + '=' + choice.value:<28} {choice.reason}" for choice in choices]
    photos = "feature vectors" if data.photos is None else "photos"
    console.info(
        f"settings for {len(data.rows('train')):,} training {photos} and {budget.minutes:g} minutes on this machine "
        "(--preset paper takes those of the paper, --set any other):\n" + "\n".join(lines)
    )


def _situation(recipe: Recipe, explicit: Collection[str], data: Dataset, *, device: str) -> Situation:
    from prodrec.core.base.device import available_cores, available_memory, choose_device
    from prodrec.models.identify_weights import identify_weights
    from prodrec.models.preset_network import SAME_ASPECT
    from prodrec.models.situation import Situation
    from prodrec.pipeline.classifier_start import PHOTOS_OF_A_CLASS

    weights_of, photo_size, same_aspect = None, None, False
    if "weights" in explicit and "backbone" not in explicit and recipe.network.weights is not None:
        path = Path(recipe.network.weights)
        weights_of = identify_weights(path) if path.exists() else None
    if data.photos is not None:
        width_R, height_R = _photo_sizes(data)
        photo_size = (round(float(np.median(height_R))), round(float(np.median(width_R))))
        low, high = np.quantile(width_R / height_R, [0.05, 0.95])
        same_aspect = bool(high <= low * SAME_ASPECT)
    target = choose_device(device)
    return Situation(
        len(data.rows("train")),
        photo_size,
        same_aspect,
        gpu=target.type == "cuda",
        weights_of=weights_of,
        cores=available_cores() // dist.local_world_size(),
        memory_bytes=min(dist.all_gather(available_memory(target))),
        ranks=dist.world_size(),
        validation_photos=len(data.rows("validation")),
        start_photos=int(np.minimum(data.train_images, PHOTOS_OF_A_CLASS).sum()),
    )


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
