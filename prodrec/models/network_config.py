"""The settings of the network: which parts it is assembled from. No torch in here, so that commands read it fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from prodrec.core.base.config import default_of, setting, show

TITLE_SETTINGS = (
    "title_loss_weight",
    "mixed_trains_backbone",
    "word_vectors",
    "word_dimension",
    "train_word_vectors",
    "bilinear_forms",
    "word_nonlinearity",
    "word_weighting",
    "lstm_width",
    "semantic_spread",
    "word_dropout",
    "title_dropout",
)
ATTENTION_SETTINGS = ("attention_at", "attention_spread")
ATTRIBUTE_SETTINGS = ("attributes", "attribute_weights")
FEATURES = "features"
"""The backbone of datasets that hold feature vectors: it passes them on."""
PAPER_HEAD_WEIGHTS = {"root": 0.1}
PAPER_ATTRIBUTE_WEIGHTS = {"color": 0.5, "sleeve length": 0.3, "others": 0.1}
"""λ and γ of S §4.2, where they are not 1. Families carry them to every catalogue; names it lacks do no harm."""
ONLY_WITH = {
    "bilinear_forms": ("bilinear",),
    "word_nonlinearity": ("bilinear",),
    "word_weighting": ("bilinear",),
    "lstm_width": ("bilstm", "bilstm-attention"),
}


@dataclass(frozen=True)
class NetworkConfig:
    """The parts of a network and their settings (A fig. 1, S fig. 4); `models/network.py` draws how they connect.

    Raises ValueError for settings out of range, and for settings that would have no effect because their part is off.
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
        1.0, "standard deviation of the initial attention weights; 1 in the paper", group="attention"
    )
    embed: int | None = setting(
        None, "width of the visual feature (linear + ReLU); none is the backbone's own width", group="backbone"
    )
    embed_hidden: int | None = setting(
        None, "width of a hidden layer (linear + ReLU) before embed; none has no hidden layer", group="backbone"
    )
    dropout: float | None = setting(
        None, "share of the visual feature dropped in training; none is the backbone's own dropout", group="backbone"
    )
    heads: tuple[str, ...] = setting(
        ("leaf",), "what is predicted: names of levels, root, leaf, levels (all of them), attributes", group="heads"
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
        "width of each level's private layer (linear + ReLU); none is the backbone's own if any (VGG), 0 is no layer",
        group="heads",
    )
    classifier: Literal["auto", "dense", "sharded", "sampled"] = setting(
        "auto",
        "loss over the classes of the deepest level: dense; sharded, classes divided among the ranks; sampled, the "
        "labels and a share of the other classes; auto is sharded for a large classifier on several ranks, else dense",
        group="classifier",
    )
    sample_share: float = setting(
        0.1, "with classifier=sampled: share of the other classes, drawn in every step", group="classifier"
    )
    score_buffer: float = setting(
        2.0, "GiB for the scores of a batch; larger ones are computed twice instead of stored", group="classifier"
    )
    label_smoothing: float = setting(
        0.0, "share of the target probability that is spread over all classes", group="classifier"
    )
    logit_adjustment: float = setting(
        0.0, "τ: in training, τ·log(share of the class among the images) is added to its score", group="classifier"
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
        None, "width of random word vectors (none: 100); pretrained ones have their own", group="titles"
    )
    train_word_vectors: bool = setting(True, "train the word vectors with the network", group="titles")
    bilinear_forms: int = setting(
        16, "with titles=bilinear: number of rank-1 forms between the title's mean and a word", group="titles"
    )
    word_nonlinearity: Literal["none", "tanh", "relu"] = setting(
        "tanh", "with titles=bilinear: nonlinearity after the pooled forms", group="titles"
    )
    word_weighting: Literal["softmax", "sigmoid"] = setting(
        "sigmoid",
        "with titles=bilinear: word weights by softmax over the title or sigmoid of each word",
        group="titles",
    )
    lstm_width: int = setting(
        128, "with titles=bilstm or bilstm-attention: width of the state in each direction", group="titles"
    )
    semantic_spread: float = setting(
        1.0, "initial standard deviation of the semantic feature, for a title vector of length 1", group="titles"
    )
    word_dropout: float = setting(
        0.0, "share of the words hidden in training; one of each title always remains", group="titles"
    )
    title_dropout: float = setting(0.0, "share of the titles hidden in training", group="titles")

    def __post_init__(self) -> None:
        for name in ("embed", "embed_hidden", "word_dimension", "bilinear_forms", "lstm_width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        for name in ("label_smoothing", "dropout", "word_dropout", "title_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name}={value} must be in [0, 1).")
        if not 0 < self.sample_share < 1:
            raise ValueError(f"sample_share={self.sample_share} must be in (0, 1); classifier=dense takes all classes.")
        if self.score_buffer < 0:
            raise ValueError(f"score_buffer={self.score_buffer} must not be negative.")
        if self.logit_adjustment < 0:
            raise ValueError(f"logit_adjustment={self.logit_adjustment} must not be negative.")
        if self.embed_hidden is not None and self.embed is None:
            raise ValueError(f"embed_hidden={self.embed_hidden} needs embed, the width of the layer after it.")
        if not self.train_batch_norm_affine and not self.freeze_batch_norm:
            raise ValueError("train_batch_norm_affine=false needs freeze_batch_norm=true.")
        changed = {field.name for field in fields(self) if getattr(self, field.name) != default_of(field)}
        if "sample_share" in changed and self.classifier != "sampled":
            raise ValueError(f"sample_share={self.sample_share} does nothing here; set classifier=sampled too.")
        self._check_heads(changed)
        self._check_titles(changed)

    def _check_heads(self, changed: set[str]) -> None:
        for names, missing in (
            (ATTENTION_SETTINGS, "attention=spatial"),
            (ATTRIBUTE_SETTINGS, "heads=leaf,attributes"),
        ):
            switched_on = self.attention is not None if names is ATTENTION_SETTINGS else "attributes" in self.heads
            for name in names:
                if name in changed and not switched_on:
                    raise ValueError(f"{name}={show(getattr(self, name))} does nothing here; set {missing} too.")
        if self.attention_spread <= 0:
            raise ValueError(f"attention_spread={self.attention_spread} must be above 0.")
        if self.private_width is not None and self.private_width < 0:
            raise ValueError(f"private_width={self.private_width} must not be negative.")
        for name in ("heads", "attributes"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}={show(values)} must name something, and nothing twice.")
        for name in ("head_weights", "attribute_weights"):
            for key, weight in getattr(self, name).items():
                if weight <= 0:
                    raise ValueError(f"{name}={key}:{weight:g} must be above 0; leave out what is not to be learnt.")

    def _check_titles(self, changed: set[str]) -> None:
        if self.titles is None:
            for name in TITLE_SETTINGS:
                if name in changed:
                    raise ValueError(
                        f"{name}={getattr(self, name)} does nothing without titles; set titles=bilinear too."
                    )
            return
        if self.heads == ("attributes",):
            raise ValueError(f"titles={self.titles} help to tell classes, and heads=attributes tells none; add leaf.")
        for name, encoders in ONLY_WITH.items():
            if name in changed and self.titles not in encoders:
                raise ValueError(
                    f"{name}={getattr(self, name)} belongs to titles={' or '.join(encoders)}, not {self.titles}."
                )
        if self.title_loss_weight <= 0:
            raise ValueError(
                f"title_loss_weight={self.title_loss_weight} must be above 0; titles=none trains on photos alone."
            )
        if self.semantic_spread <= 0:
            raise ValueError(f"semantic_spread={self.semantic_spread} must be above 0.")
        if self.word_vectors == "pretrained" and self.word_dimension is not None:
            raise ValueError(
                f"word_dimension={self.word_dimension} is for random word vectors; pretrained bring their own."
            )
