"""The table of model families: each row is the parts of the network and the recipe of its paper, as settings.

No torch in here: `prodrec train --help` and `--settings` read this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from prodrec.core.base.config import from_dict, override, show
from prodrec.core.base.errors import BadOption, nearest
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.config import TrainingConfig
from prodrec.models.network_config import PAPER_ATTRIBUTE_WEIGHTS, PAPER_HEAD_WEIGHTS, NetworkConfig


@dataclass(frozen=True)
class Family:
    """A row of the table: where it comes from, and the settings in which it differs from the defaults."""

    name: str
    paper: str
    summary: str
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    photos: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Everything that is set for one training run."""

    family: str
    network: NetworkConfig
    training: TrainingConfig
    photos: PhotoConfig

    def __post_init__(self) -> None:
        """Raise BadOption where parts contradict each other."""
        for name, needed in (("clip_norm", None), ("accumulate", 1), ("fused", "auto")):
            found = getattr(self.training, name)
            if self.network.classifier == "sampled" and found != needed:
                raise BadOption(
                    f"classifier=sampled updates the sampled classes alone, which needs {name}={show(needed)}, "
                    f"not {show(found)}."
                )

    def as_json(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
        """The inverse of `as_json`. Raises BadOption for an unknown family or setting."""
        return cls(
            family=_family(data["family"]).name,
            network=from_dict(NetworkConfig, data["network"], where=where),
            training=from_dict(TrainingConfig, data["training"], where=where),
            photos=from_dict(PhotoConfig, data["photos"], where=where),
        )

    def parts(self) -> list[Any]:
        """Network, training and photos, in the order in which `--settings` lists them."""
        return [self.network, self.training, self.photos]

    def with_settings(self, values: Mapping[str, Any], *, where: str | Mapping[str, str]) -> Recipe:
        """A copy with `values` applied. Raises BadOption as `override` does."""
        network, training, photos = override(self.parts(), values, where=where)
        return Recipe(self.family, network, training, photos)


def make_recipe(
    name: str, overrides: Mapping[str, Any] | None = None, *, where: str | Mapping[str, str] = "--set"
) -> Recipe:
    """The recipe of family `name` with `overrides` (one flat namespace of keys). Raises BadOption."""
    family = _family(name)
    defaults = Recipe(
        family.name, NetworkConfig(**family.network), TrainingConfig(**family.training), PhotoConfig(**family.photos)
    )
    return defaults.with_settings(overrides or {}, where=where)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise BadOption(f"{name!r} is no model family{nearest(name, FAMILIES)}; there are {', '.join(FAMILIES)}.")
    return FAMILIES[name]


PAPER_A = "Zhou et al., CIKM 2020"
# A §4.3. Momentum, weight decay, augmentation and the number of epochs are not in the paper; they stay at our defaults.
PAPER_A_TRAINING = {
    "optimizer": "sgd",
    "batch_size": 256,
    "lr": 0.1,
    "schedule": "step",
    "decay_factor": 0.8,
    "decay_every": 1.0,
}
PAPER_A_PHOTOS = {"image_size": "224"}

PAPER_S = "Chen et al., TOMM 2019"
# S §4.2. "After a fixed number of training iterations" and the batch size are not told: half of the epochs, and 64, are
# guesses, as is the size of the deformation.
PAPER_S_TRAINING = {
    "optimizer": "sgd",
    "batch_size": 64,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "lr": 0.001,
    "schedule": "step",
    "epochs": 20.0,
    "decay_factor": 0.1,
    "decay_every": 10.0,
}
PAPER_S_MULTI_TASK = {**PAPER_S_TRAINING, "lr": 0.0001}
PAPER_S_PHOTOS = {"image_size": "224", "deform": 0.1}
SPATIAL = {"attention": "spatial"}
ROOT_LEAF = {"heads": ("root", "leaf"), "head_weights": PAPER_HEAD_WEIGHTS}
LEAF_ATTRIBUTES = {"heads": ("leaf", "attributes"), "attribute_weights": PAPER_ATTRIBUTE_WEIGHTS}


def _of_paper_s(number: int, name: str, summary: str, *parts: Mapping[str, Any]) -> Family:
    """A row of S §4.2; one with several tasks has the lower learning rate."""
    network: dict[str, Any] = {"backbone": "vgg16", "weights": "imagenet"}
    for part in parts:
        network |= part
    training = PAPER_S_MULTI_TASK if "heads" in network else PAPER_S_TRAINING
    return Family(name, f"{PAPER_S}, ({number})", summary, network, training, PAPER_S_PHOTOS)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="visual",
            paper=f"{PAPER_A}, baseline",
            summary="photos alone: backbone and one softmax classifier",
            network={"backbone": "resnet50", "weights": "imagenet"},
            training=PAPER_A_TRAINING,
            photos=PAPER_A_PHOTOS,
        ),
        Family(
            name="sicot",
            paper=f"{PAPER_A}, SICoT",
            summary="photos co-trained with titles through one shared classifier; titles are needed in training only",
            network={"backbone": "resnet50", "weights": "imagenet", "titles": "bilinear"},
            training=PAPER_A_TRAINING,
            photos=PAPER_A_PHOTOS,
        ),
        _of_paper_s(1, "bcnn", "the basic CNN, one level of the tree"),
        _of_paper_s(2, "sscnn", "the salient-sensitive CNN: bcnn with spatial attention", SPATIAL),
        _of_paper_s(5, "bmtl-rl", "bcnn with a head for the roots and one for the leaves", ROOT_LEAF),
        _of_paper_s(5, "bmtl-ca", "bcnn with a head for the leaves and one for the attributes", LEAF_ATTRIBUTES),
        _of_paper_s(6, "ssmtl-rl", "sscnn with a head for the roots and one for the leaves", SPATIAL, ROOT_LEAF),
        _of_paper_s(
            6, "ssmtl-ca", "sscnn with a head for the leaves and one for the attributes", SPATIAL, LEAF_ATTRIBUTES
        ),
    )
}
