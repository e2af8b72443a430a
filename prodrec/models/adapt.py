"""A recipe made to suit what a dataset shows: photos, or feature vectors, for which there is no backbone to choose.

No torch in here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from prodrec.core.base.config import show
from prodrec.core.base.errors import BadOption
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.models.families import Recipe
from prodrec.models.network_config import FEATURES

OF_THE_BACKBONE = ("weights", "freeze_batch_norm", "train_batch_norm_affine", "freeze_until")
OF_TRAINING = ("backbone_lr_scale", "channels_last")


def adapt_recipe(
    recipe: Recipe, inputs: str, *, explicit: Collection[str] = (), dataset: object = "this dataset"
) -> Recipe:
    """`recipe` for rows that show `inputs`, "photos" or "features"; `explicit` are the settings that were asked for.

    On features the backbone is `features`, whatever the family's own is, and settings of photos do nothing, so that
    those asked for are refused. Raises BadOption, which names `dataset`.
    """
    network = recipe.network
    if inputs != "features":
        if network.backbone == FEATURES:
            raise BadOption(
                f"backbone={FEATURES} takes feature vectors, and {dataset} holds {inputs}; prepare it with --features, "
                "or take another backbone."
            )
        return recipe
    if network.backbone != FEATURES and "backbone" in explicit:
        raise BadOption(
            f"backbone={network.backbone} looks at photos, and {dataset} holds feature vectors; leave backbone out."
        )
    useless = (*OF_THE_BACKBONE, *OF_TRAINING, *(field.name for field in fields(PhotoConfig)))
    for name in useless:
        if name in explicit and (name, _value(recipe, name)) != ("weights", None):
            raise BadOption(
                f"{name}={show(_value(recipe, name))} is about photos, and {dataset} contains feature vectors; omit it."
            )
    if network.attention is not None:
        raise BadOption(
            f"attention={network.attention} looks at photos, and {dataset} holds feature vectors; take another family "
            f"than {recipe.family}, or attention=none."
        )
    defaults = {"weights": None, "freeze_batch_norm": False, "train_batch_norm_affine": True, "freeze_until": None}
    return replace(recipe, network=replace(network, backbone=FEATURES, **defaults))  # type: ignore[arg-type]


def _value(recipe: Recipe, name: str) -> Any:
    return next(getattr(part, name) for part in recipe.parts() if hasattr(part, name))
