"""Adapts a recipe to the inputs of a dataset: photos, or feature vectors, for which there is no backbone to choose.

This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace

from prodrec.core.base.config import format_value
from prodrec.core.base.errors import BadOption
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.models.families import Recipe
from prodrec.models.settings.backbone import FEATURES

BACKBONE_SETTINGS = (
    "weights",
    "freeze_batch_norm",
    "train_batch_norm_affine",
    "freeze_until",
    "lora_rank",
    "lora_alpha",
)
"""Settings about the weights of the backbone."""
PHOTO_SETTINGS = (
    *BACKBONE_SETTINGS,
    "backbone_lr_scale",
    "layer_lr_decay",
    "head_epochs",
    "channels_last",
    "cache_frozen",
    "cutmix",
    *(field.name for field in fields(PhotoConfig)),
)
"""Settings that have no effect on a dataset of feature vectors."""


def adapt_recipe(
    recipe: Recipe, inputs: str, *, explicit: Collection[str] = (), dataset: object = "this dataset"
) -> Recipe:
    """Return `recipe` for a dataset whose inputs are "photos" or "features".

    For feature vectors, `features` replaces the backbone of the family, and the settings about its weights are reset.

    explicit: keys that the user has set
    dataset:  name of the dataset in messages

    Raise BadOption if the backbone, the attention or an explicit setting is for the other kind of inputs.
    """
    network = recipe.network
    if inputs != "features":
        if network.backbone == FEATURES:
            raise BadOption(
                f"backbone={FEATURES} takes feature vectors, and {dataset} contains {inputs}; prepare it with "
                "--features, or take another backbone."
            )
        return recipe
    if network.backbone != FEATURES and "backbone" in explicit:
        raise BadOption(
            f"backbone={network.backbone} is for photos, and {dataset} contains feature vectors; omit backbone."
        )
    values = {name: value for part in recipe.parts() for name, value in vars(part).items()}
    for name in PHOTO_SETTINGS:
        if name in explicit and (name, values[name]) != ("weights", None):  # weights=none holds for `features` too
            raise BadOption(
                f"{name}={format_value(values[name])} is about photos, and {dataset} contains feature vectors; omit it."
            )
    if network.attention is not None:
        raise BadOption(
            f"attention={network.attention} is for photos, and {dataset} contains feature vectors; take another family "
            f"than {recipe.family}, or attention=none."
        )
    without_backbone = replace(
        network,
        backbone=FEATURES,
        weights=None,
        freeze_batch_norm=False,
        train_batch_norm_affine=True,
        freeze_until=None,
        lora_rank=None,
        lora_alpha=type(network)().lora_alpha,
    )
    return replace(recipe, network=without_backbone)
