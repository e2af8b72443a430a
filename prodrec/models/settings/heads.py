"""The settings of the heads: the levels and attributes that are predicted. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from prodrec.core.base.config import format_value, setting

# λ (heads) and γ (attributes) of S §4.2 that are not 1. The families of paper S use them on every dataset; heads and
# attributes that a dataset does not have are ignored.
PAPER_HEAD_WEIGHTS = {"root": 0.1}
PAPER_ATTRIBUTE_WEIGHTS = {"color": 0.5, "sleeve length": 0.3, "others": 0.1}


@dataclass(frozen=True)
class HeadSettings:
    """The heads and their weights in the loss (S §3.4)."""

    heads: tuple[str, ...] = setting(
        ("leaf",),
        "levels and attributes to predict: names of levels, root, leaf, levels (all levels), attributes",
        group="heads",
    )
    head_weights: Mapping[str, float] = setting(
        {}, "λ of S eq. 5 by head: root:0.1,attributes:0.5; 1 for heads not named", group="heads"
    )
    attributes: tuple[str, ...] = setting(("all",), "attributes to predict: their names, or all", group="heads")
    attribute_weights: Mapping[str, float] = setting(
        {},
        "γ of S eq. 7 by attribute: colour:0.5,others:0.1; others are the attributes not named, 1 by default",
        group="heads",
    )
    private_width: int | None = setting(
        None,
        "width of each level's private layer (linear + ReLU); none is the backbone's own (VGG has one), 0 is no layer",
        group="heads",
        ge=0,
    )

    def check_heads(self, changed: AbstractSet[str]) -> None:
        """Raise ValueError for settings that contradict each other."""
        for name in ("attributes", "attribute_weights"):
            if name in changed and "attributes" not in self.heads:
                value = format_value(getattr(self, name))
                raise ValueError(f"{name}={value} does nothing here; set heads=leaf,attributes too.")
        for name in ("heads", "attributes"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}={format_value(values)} must have at least one name, and none twice.")
        for name in ("head_weights", "attribute_weights"):
            for key, weight in getattr(self, name).items():
                if weight <= 0:
                    raise ValueError(f"{name}={key}:{weight:g} must be above 0; omit what is not to be trained.")
