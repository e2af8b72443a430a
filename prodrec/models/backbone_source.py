"""What the library of a backbone states about it: input size, normalisation, origin and licence of its weights.

This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from prodrec.core.base.config import format_value
from prodrec.models.families import Recipe

LIBRARIES = ("timm", "open_clip")
"""Prefixes of the names of backbones. Networks of torchvision have none."""


@dataclass(frozen=True)
class BackboneSource:
    """What a library states about a network and its published weights.

    image_size: input size in pixels, as the setting `image_size` accepts it
    mean, std:  normalisation of the channels, for values 0-1
    licence:    licence of the weights, or None if the library does not state it
    origin:     where the weights are published, or None if there are none
    """

    image_size: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str | None
    origin: str | None

    def as_json(self) -> dict[str, Any]:
        """Return origin and licence of the weights, for run.json; its settings have the other values."""
        return {"weights_from": self.origin, "licence": self.licence}


def library_of(backbone: str) -> str | None:
    """Return the prefix of a backbone's name, `timm` or `open_clip`, or None for the other backbones."""
    prefix, colon, _ = backbone.partition(":")
    return prefix if colon and prefix in LIBRARIES else None


def use_source(recipe: Recipe, source: BackboneSource | None, explicit: Collection[str]) -> tuple[Recipe, list[str]]:
    """Return the recipe with the input size and normalisation of the backbone's library, and the keys set so.

    explicit: keys that the user has set; they keep their values
    """
    if source is None:
        return recipe, []
    values: dict[str, Any] = {"image_size": source.image_size, "mean": source.mean, "std": source.std}
    own = {key: value for key, value in values.items() if key not in explicit}
    return replace(recipe, photos=replace(recipe.photos, **own)), list(own)


def source_message(recipe: Recipe, source: BackboneSource) -> str:
    """Return the origin and licence of a backbone, and how its photos are normalised, in one line."""
    photos, licence = recipe.photos, source.licence or "not stated by the library; see where they are published"
    origin = f"weights from {source.origin}, licence: {licence}" if source.origin else f"licence: {licence}"
    return (
        f"backbone {recipe.network.backbone}: {origin}; photos of {photos.image_size} pixels, "
        f"mean {format_value(photos.mean)}, std {format_value(photos.std)}"
    )
