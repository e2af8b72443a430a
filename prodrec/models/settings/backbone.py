"""The settings of the backbone, the visual feature and spatial attention. This module does not import torch."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from prodrec.core.base.config import format_value, setting

FEATURES = "features"
"""The backbone for datasets of feature vectors; it returns its input."""
IMAGENET = "imagenet"
"""The weights that a library publishes for a network, its default ones if there are several."""


@dataclass(frozen=True)
class BackboneSettings:
    """The layers from the photo to the visual feature, with spatial attention (S §3.2)."""

    backbone: str = setting(
        "resnet50",
        "any torchvision classification network by name, or timm:NAME and open_clip:NAME, which need the extra "
        "prodrec[backbones]; features (set automatically) for datasets of feature vectors",
        group="backbone",
    )
    weights: str | None = setting(
        "imagenet",
        "initial weights of backbone and private layers: imagenet (the default ones of the backbone's library), its "
        "name of others (IMAGENET1K_V1, a1_in1k, laion2b_s34b_b79k), a file, a run (its classes start from it too), or "
        "none (random)",
        group="backbone",
    )
    freeze_batch_norm: bool = setting(
        False, "keep the running statistics of the backbone's batch norm as loaded", group="backbone"
    )
    train_batch_norm_affine: bool = setting(
        True, "with freeze_batch_norm: still train scales and shifts", group="backbone"
    )
    freeze_until: str | None = setting(
        None,
        "stage of the backbone (features.6, layer2) up to which weights stay as loaded; none freezes nothing",
        group="backbone",
    )
    lora_rank: int | None = setting(
        None,
        "train adapters of this rank in the attention of a transformer and keep its weights as loaded (Hu et al. "
        "2022); none trains the weights",
        group="backbone",
        ge=1,
    )
    lora_alpha: float = setting(
        16.0, "α: the change that adapters compute is multiplied by α / lora_rank", group="backbone", gt=0
    )
    embed: int | None = setting(
        None, "width of the visual feature (linear + ReLU); none is the backbone's own width", group="backbone", ge=1
    )
    embed_hidden: int | None = setting(
        None, "width of a hidden layer (linear + ReLU) before embed; none has no hidden layer", group="backbone", ge=1
    )
    dropout: float | None = setting(
        None,
        "share of the visual feature dropped in training; none is the backbone's own dropout",
        group="backbone",
        ge=0,
        lt=1,
    )
    attention: Literal["spatial"] | None = setting(None, "spatial attention (S §3.2), or none", group="attention")
    attention_at: str | None = setting(
        None,
        "stage of the backbone after which attention is applied (features.23, layer3); none is after the last one",
        group="attention",
    )
    attention_spread: float = setting(
        1.0, "standard deviation of the initial attention weights; 1 in the paper", group="attention", gt=0
    )

    def check_backbone(self, changed: AbstractSet[str]) -> None:
        """Raise ValueError for settings that contradict each other."""
        if self.embed_hidden is not None and self.embed is None:
            raise ValueError(f"embed_hidden={self.embed_hidden} needs embed, the width of the layer after it.")
        if not self.train_batch_norm_affine and not self.freeze_batch_norm:
            raise ValueError("train_batch_norm_affine=false needs freeze_batch_norm=true.")
        if "lora_alpha" in changed and self.lora_rank is None:
            raise ValueError(f"lora_alpha={self.lora_alpha:g} does nothing here; set lora_rank too.")
        for name in changed & {"attention_at", "attention_spread"}:
            if self.attention is None:
                raise ValueError(
                    f"{name}={format_value(getattr(self, name))} does nothing here; set attention=spatial too."
                )
