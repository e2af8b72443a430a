"""The settings of a network: the parts that it is assembled from. This module does not import torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Literal

from prodrec.core.base.config import check_ranges, field_default, format_value, setting

FEATURES = "features"
"""The backbone for datasets of feature vectors; it returns its input."""

# λ (heads) and γ (attributes) of S §4.2 that are not 1. The families of paper S use them on every dataset; heads and
# attributes that a dataset does not have are ignored.
PAPER_HEAD_WEIGHTS = {"root": 0.1}
PAPER_ATTRIBUTE_WEIGHTS = {"color": 0.5, "sleeve length": 0.3, "others": 0.1}

ENCODERS_WITH_SETTING = {
    "bilinear_forms": ("bilinear",),
    "word_nonlinearity": ("bilinear",),
    "word_weighting": ("bilinear",),
    "lstm_width": ("bilstm", "bilstm-attention"),
}
"""The title encoders that use a setting, for settings that not all encoders use."""


@dataclass(frozen=True)
class NetworkConfig:
    """The parts of a network and their settings (A fig. 1, S fig. 4); `models/network.py` draws how they connect.

    The constructor raises ValueError for a setting that is out of range, contradicts another one, or has no effect
    because its part is off.
    """

    backbone: str = setting(
        "resnet50",
        "any torchvision classification network by name; features (set automatically) for datasets of feature vectors",
        group="backbone",
    )
    weights: str | None = setting(
        "imagenet",
        "initial weights of backbone and private layers: imagenet, a torchvision name (IMAGENET1K_V1), a file, a run, "
        "or none (random)",
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
    attention: Literal["spatial"] | None = setting(None, "spatial attention (S §3.2), or none", group="attention")
    attention_at: str | None = setting(
        None,
        "stage of the backbone after which attention is applied (features.23, layer3); none is after the last one",
        group="attention",
    )
    attention_spread: float = setting(
        1.0, "standard deviation of the initial attention weights; 1 in the paper", group="attention", gt=0
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
    classifier: Literal["auto", "dense", "sharded", "sampled"] = setting(
        "auto",
        "loss over the deepest level's classes: dense (all of them on every rank), sharded (divided among the ranks), "
        "sampled (the labels and a share of the others), or auto (sharded if large and on several ranks, else dense)",
        group="classifier",
    )
    sample_share: float = setting(
        0.1, "with classifier=sampled: share of the other classes, drawn in every step", group="classifier"
    )
    score_buffer: float = setting(
        2.0, "GiB for the scores of a batch; larger ones are computed twice instead of stored", group="classifier", ge=0
    )
    label_smoothing: float = setting(
        0.0, "share of the target probability that is spread over all classes", group="classifier", ge=0, lt=1
    )
    logit_adjustment: float = setting(
        0.0,
        "τ: training adds τ·log(share of the class in the training images) to the score of a class",
        group="classifier",
        ge=0,
    )
    titles: Literal["mean", "bilstm", "bilstm-attention", "bilinear"] | None = setting(
        None, "title encoder (A table 3): mean, bilstm, bilstm-attention, bilinear, or none", group="titles"
    )
    title_loss_weight: float = setting(1.0, "λ of A eq. 1: weight of the loss on mixed features", group="titles")
    mixed_trains_backbone: bool = setting(
        True, "let the gradient of the loss on mixed features reach the backbone (A §3.3)", group="titles"
    )
    word_vectors: Literal["pretrained", "random"] = setting(
        "pretrained", "initial word vectors: pretrained (trained first if missing) or random", group="titles"
    )
    word_dimension: int | None = setting(
        None, "width of random word vectors (none: 100); pretrained ones have their own", group="titles", ge=1
    )
    train_word_vectors: bool = setting(True, "train the word vectors with the network", group="titles")
    bilinear_forms: int = setting(
        16, "with titles=bilinear: number of rank-1 forms between the title's mean and a word", group="titles", ge=1
    )
    word_nonlinearity: Literal["none", "tanh", "relu"] = setting(
        "tanh", "with titles=bilinear: nonlinearity after the pooled forms", group="titles"
    )
    word_weighting: Literal["softmax", "sigmoid"] = setting(
        "sigmoid",
        "with titles=bilinear: function from scores to word weights: softmax over the title, or sigmoid of each word",
        group="titles",
    )
    lstm_width: int = setting(
        128, "with titles=bilstm or bilstm-attention: width of the state in each direction", group="titles", ge=1
    )
    semantic_spread: float = setting(
        1.0, "initial standard deviation of the semantic feature, for a title vector of length 1", group="titles", gt=0
    )
    word_dropout: float = setting(
        0.0,
        "share of the words hidden in training; a title that would lose all its words keeps them",
        group="titles",
        ge=0,
        lt=1,
    )
    title_dropout: float = setting(0.0, "share of the titles hidden in training", group="titles", ge=0, lt=1)

    def __post_init__(self) -> None:
        check_ranges(self)
        changed = [field for field in fields(self) if getattr(self, field.name) != field_default(field)]
        names = [field.name for field in changed]
        self._check_backbone_and_classifier(names)
        self._check_attention([field.name for field in changed if field.metadata["group"] == "attention"])
        self._check_heads(names)
        self._check_titles([field.name for field in changed if field.metadata["group"] == "titles"])

    def _check_backbone_and_classifier(self, changed: Collection[str]) -> None:
        if self.embed_hidden is not None and self.embed is None:
            raise ValueError(f"embed_hidden={self.embed_hidden} needs embed, the width of the layer after it.")
        if not self.train_batch_norm_affine and not self.freeze_batch_norm:
            raise ValueError("train_batch_norm_affine=false needs freeze_batch_norm=true.")
        if not 0 < self.sample_share < 1:
            raise ValueError(f"sample_share={self.sample_share} must be in (0, 1); classifier=dense takes all classes.")
        if "sample_share" in changed and self.classifier != "sampled":
            raise ValueError(f"sample_share={self.sample_share} does nothing here; set classifier=sampled too.")

    def _check_attention(self, changed: Collection[str]) -> None:
        for name in changed:
            if self.attention is None:
                raise ValueError(
                    f"{name}={format_value(getattr(self, name))} does nothing here; set attention=spatial too."
                )

    def _check_heads(self, changed: Collection[str]) -> None:
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

    def _check_titles(self, changed: Collection[str]) -> None:
        if self.titles is None:
            for name in changed:
                raise ValueError(f"{name}={getattr(self, name)} does nothing without titles; set titles=bilinear too.")
            return
        if self.heads == ("attributes",):
            raise ValueError(
                f"titles={self.titles} trains the head of a level, and heads=attributes has none; add leaf."
            )
        for name, encoders in ENCODERS_WITH_SETTING.items():
            if name in changed and self.titles not in encoders:
                value = getattr(self, name)
                raise ValueError(f"{name}={value} belongs to titles={' or '.join(encoders)}, not {self.titles}.")
        if self.title_loss_weight <= 0:
            raise ValueError(
                f"title_loss_weight={self.title_loss_weight} must be above 0; titles=none trains on photos alone."
            )
        if self.word_vectors == "pretrained" and self.word_dimension is not None:
            raise ValueError(
                f"word_dimension={self.word_dimension} is for word_vectors=random; "
                "pretrained ones have their own width."
            )
