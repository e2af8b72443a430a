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
    """Photos → backbone → attention → embed → visual; titles → semantic; heads on both (A fig. 1, S fig. 4).

    Contradictions raise ValueError: a setting of a part that is switched off would do nothing, silently.
    """

    backbone: str = setting(
        "resnet50",
        "any torchvision classification network by its name; features (chosen by itself) for a dataset of vectors",
    )
    weights: str | None = setting(
        "imagenet",
        "start of backbone and private layers: imagenet, a torchvision name (IMAGENET1K_V1), a file, a run, or none",
    )
    freeze_batch_norm: bool = setting(
        False, "keep the running statistics of the backbone's batch norm as they were loaded"
    )
    train_batch_norm_affine: bool = setting(True, "with freeze_batch_norm: still train its scales and shifts")
    freeze_until: str | None = setting(
        None, "place in the backbone (features.6, layer2) up to which its weights are kept as loaded"
    )
    attention: Literal["spatial"] | None = setting(None, "spatial attention (S §3.2), or none")
    attention_at: str | None = setting(
        None, "place in the backbone behind which it attends (features.23, layer3); none is behind the last map"
    )
    attention_spread: float = setting(1.0, "standard deviation of its Gaussian start; the paper's is 1")
    embed: int | None = setting(None, "width of the visual feature (linear + ReLU); none takes the backbone's own")
    embed_hidden: int | None = setting(
        None, "width of a hidden layer (linear + ReLU) before embed; none is no such layer"
    )
    dropout: float | None = setting(None, "share of the visual feature dropped in training; none is the backbone's own")
    heads: tuple[str, ...] = setting(
        ("leaf",), "what is predicted: names of levels, root, leaf, levels (all of them), attributes"
    )
    head_weights: Mapping[str, float] = setting({}, "λ of S eq. 5 by head: root:0.1,attributes:0.5; 1 unless named")
    attributes: tuple[str, ...] = setting(("all",), "attributes to predict: their names, or all")
    attribute_weights: Mapping[str, float] = setting(
        {}, "γ of S eq. 7 by attribute: colour:0.5,others:0.1; others are those not named, 1 unless given"
    )
    private_width: int | None = setting(
        None,
        "width of each level's private layer (linear + ReLU); none is the backbone's own if any (VGG), 0 is no layer",
    )
    classifier: Literal["auto", "dense", "sharded", "sampled"] = setting(
        "auto",
        "how the loss over the deepest level's classes is computed: dense, sharded by class over the ranks, sampled "
        "(labels and a share of the other classes); auto is sharded where it is large and there are several ranks",
    )
    sample_share: float = setting(0.1, "sampled: share of the other classes, drawn anew every step")
    score_buffer: float = setting(2.0, "GiB that a batch's scores may take; larger ones are computed twice, not kept")
    label_smoothing: float = setting(0.0, "share of the target spread over all classes")
    logit_adjustment: float = setting(0.0, "τ: τ·log(share of the class) is added to its score, in training only")
    titles: Literal["mean", "bilstm", "bilstm-attention", "bilinear"] | None = setting(
        None, "encoder of titles (A table 3): mean, bilstm, bilstm-attention, bilinear, or none"
    )
    title_loss_weight: float = setting(1.0, "λ of A eq. 1: weight of the loss on mixed features")
    mixed_trains_backbone: bool = setting(True, "let the loss on mixed features reach the backbone too (A §3.3)")
    word_vectors: Literal["pretrained", "random"] = setting(
        "pretrained",
        "start of the word vectors: pretrained (made where they are missing) or random",
    )
    word_dimension: int | None = setting(
        None, "width of random word vectors (none: 100); pretrained ones bring their own"
    )
    train_word_vectors: bool = setting(True, "train the word vectors with the rest")
    bilinear_forms: int = setting(16, "bilinear: number of rank-1 forms k between the title's mean and a word")
    word_nonlinearity: Literal["none", "tanh", "relu"] = setting("tanh", "bilinear: what follows the pooled forms")
    word_weighting: Literal["softmax", "sigmoid"] = setting(
        "sigmoid", "bilinear: from scores to weights, over the title (softmax) or word by word (sigmoid)"
    )
    lstm_width: int = setting(128, "bilstm, bilstm-attention: width of the state in each direction")
    semantic_spread: float = setting(1.0, "spread of the semantic feature at the start, for a title vector of length 1")
    word_dropout: float = setting(0.0, "share of words hidden in training (one always stays)")
    title_dropout: float = setting(0.0, "share of titles hidden in training")

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
