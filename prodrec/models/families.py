"""The table of model families. A row names the parts of a network and the training recipe of its paper, as settings.

This module does not import torch: `prodrec train --help` and `--settings` read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from prodrec.core.base.config import format_value, from_dict, override
from prodrec.core.base.errors import BadOption, did_you_mean
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.config import TrainingConfig
from prodrec.models.network_config import NetworkConfig
from prodrec.models.settings.heads import PAPER_ATTRIBUTE_WEIGHTS, PAPER_HEAD_WEIGHTS


@dataclass(frozen=True)
class Family:
    """A row of the table: its source, and the settings that differ from the defaults.

    paper: the paper and, for paper S, the number of the method in its §4.2
    """

    name: str
    paper: str
    summary: str
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    photos: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run. The constructor raises BadOption if they contradict each other."""

    family: str
    network: NetworkConfig
    training: TrainingConfig
    photos: PhotoConfig

    def __post_init__(self) -> None:
        if self.network.lora_rank is not None and self.training.backbone_lr_scale == 0:
            raise BadOption(f"lora_rank={self.network.lora_rank} does nothing with backbone_lr_scale=0.")
        for name, needed in (("clip_norm", None), ("accumulate", 1), ("fused_update", "auto")):
            value = getattr(self.training, name)
            if self.network.classifier == "sampled" and value != needed:
                raise BadOption(
                    f"classifier=sampled updates the sampled classes alone, which needs {name}={format_value(needed)}, "
                    f"not {format_value(value)}."
                )

        if self.network.titles is not None and self.training.pair_probability == 1:
            raise BadOption(
                f"titles={self.network.titles} does nothing with pair_probability=1, because photos in pairs are "
                "trained without titles; set it below 1."
            )

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain values, for run.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, source: str = "recipe") -> Recipe:
        """Return the recipe that `as_json` described. Raise BadOption for an unknown family or setting."""
        return cls(
            family=_family(data["family"]).name,
            network=from_dict(NetworkConfig, data["network"], source=source),
            training=from_dict(TrainingConfig, data["training"], source=source),
            photos=from_dict(PhotoConfig, data["photos"], source=source),
        )

    def parts(self) -> list[Any]:
        """Return the settings of network, training and photos, in the order of `--settings`."""
        return [self.network, self.training, self.photos]

    def with_settings(self, values: Mapping[str, Any], *, source: str | Mapping[str, str]) -> Recipe:
        """Return a copy with `values` applied. `source` and errors are those of `override`."""
        network, training, photos = override(self.parts(), values, source=source)
        return Recipe(self.family, network, training, photos)


def make_recipe(
    name: str, overrides: Mapping[str, Any] | None = None, *, source: str | Mapping[str, str] = "--set"
) -> Recipe:
    """Return the recipe of family `name`, with `overrides` by key.

    Without an `lr`, a smaller batch than the paper's has a learning rate of SGD that is smaller in proportion (linear
    scaling rule, Goyal et al. 2017): the paper's own rate makes batches of few photos diverge.

    source: origin of the overrides in messages, of all of them or by key

    Raise BadOption for an unknown family or key, and for a value that is malformed or contradicts another one.
    """
    family = _family(name)
    defaults = Recipe(
        family.name, NetworkConfig(**family.network), TrainingConfig(**family.training), PhotoConfig(**family.photos)
    )
    overrides = overrides or {}
    recipe = defaults.with_settings(overrides, source=source)
    share = recipe.training.batch_size * recipe.training.accumulate / defaults.training.batch_size
    if "lr" in overrides or share >= 1 or recipe.training.optimizer != "sgd":
        return recipe
    return replace(recipe, training=replace(recipe.training, lr=recipe.training.lr * share))


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise BadOption(f"{name!r} is no model family{did_you_mean(name, FAMILIES)}; there are {', '.join(FAMILIES)}.")
    return FAMILIES[name]


PAPER_A = "Zhou et al., CIKM 2020"
RESNET50 = {"backbone": "resnet50", "weights": "imagenet"}
# A §4.3. The paper gives the decay as "step 1, gamma 0.8"; the epoch as its unit is a guess. The paper does not give
# momentum, weight decay, augmentation and the number of epochs; they have our defaults.
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
VGG16 = {"backbone": "vgg16", "weights": "imagenet"}
# S §4.2. The paper does not give the batch size, the number of epochs, the time of the decay ("after a fixed number of
# training iterations") and the amount of deformation; 64, 20, half of the epochs and 0.1 are guesses.
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
ROOT_AND_LEAF = {"heads": ("root", "leaf"), "head_weights": PAPER_HEAD_WEIGHTS}
LEAF_AND_ATTRIBUTES = {"heads": ("leaf", "attributes"), "attribute_weights": PAPER_ATTRIBUTE_WEIGHTS}

TABLE = (  # name, paper, summary, settings of network, training and photos
    Family(
        "visual",
        f"{PAPER_A}, baseline",
        "photos alone: backbone and one softmax classifier",
        RESNET50,
        PAPER_A_TRAINING,
        PAPER_A_PHOTOS,
    ),
    Family(
        "sicot",
        f"{PAPER_A}, SICoT",
        "photos co-trained with titles through one shared classifier; titles are needed in training only",
        {**RESNET50, "titles": "bilinear"},
        PAPER_A_TRAINING,
        PAPER_A_PHOTOS,
    ),
    Family(
        "titled",
        "ours",
        "photo and title together, for products that have both; scored with titles or without them",
        {**RESNET50, "titles": "tfidf", "word_vectors": "zero", "mixing": "sum", "photo_dropout": 0.5},
        {**PAPER_A_TRAINING, "word_vectors_lr_scale": 20.0},
        PAPER_A_PHOTOS,
    ),
    Family(
        "words",
        "ours",
        "photos that learn to predict the words of their titles too; titles are needed in training only",
        {**RESNET50, "heads": ("leaf", "words")},
        PAPER_A_TRAINING,
        PAPER_A_PHOTOS,
    ),
    Family(
        "bcnn",
        f"{PAPER_S}, (1)",
        "the basic CNN, one level of the tree",
        VGG16,
        PAPER_S_TRAINING,
        PAPER_S_PHOTOS,
    ),
    Family(
        "sscnn",
        f"{PAPER_S}, (2)",
        "the salient-sensitive CNN: bcnn with spatial attention",
        {**VGG16, **SPATIAL},
        PAPER_S_TRAINING,
        PAPER_S_PHOTOS,
    ),
    Family(
        "bmtl-rl",
        f"{PAPER_S}, (5)",
        "bcnn with a head for the roots and one for the leaves",
        {**VGG16, **ROOT_AND_LEAF},
        PAPER_S_MULTI_TASK,
        PAPER_S_PHOTOS,
    ),
    Family(
        "bmtl-ca",
        f"{PAPER_S}, (5)",
        "bcnn with a head for the leaves and one for the attributes",
        {**VGG16, **LEAF_AND_ATTRIBUTES},
        PAPER_S_MULTI_TASK,
        PAPER_S_PHOTOS,
    ),
    Family(
        "ssmtl-rl",
        f"{PAPER_S}, (6)",
        "sscnn with a head for the roots and one for the leaves",
        {**VGG16, **SPATIAL, **ROOT_AND_LEAF},
        PAPER_S_MULTI_TASK,
        PAPER_S_PHOTOS,
    ),
    Family(
        "ssmtl-ca",
        f"{PAPER_S}, (6)",
        "sscnn with a head for the leaves and one for the attributes",
        {**VGG16, **SPATIAL, **LEAF_AND_ATTRIBUTES},
        PAPER_S_MULTI_TASK,
        PAPER_S_PHOTOS,
    ),
)
FAMILIES = {family.name: family for family in TABLE}
