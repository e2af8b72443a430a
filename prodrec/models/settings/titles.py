"""The settings of titles: word vectors, encoder and mixing. This module does not import torch."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from typing import Literal

from prodrec.core.base.config import setting

ENCODERS_WITH_SETTING = {
    "bilinear_forms": ("bilinear",),
    "word_nonlinearity": ("bilinear",),
    "word_weighting": ("bilinear",),
    "lstm_width": ("bilstm", "bilstm-attention"),
}
"""The title encoders that use a setting, for settings that not all encoders use."""

WEIGHING_ENCODERS = ("bilinear", "bilstm-attention", "tfidf")
"""The title encoders that give the words of a title different weights."""


@dataclass(frozen=True)
class TitleSettings:
    """The title encoder and the loss on mixed features (A §3.2, §3.3)."""

    titles: Literal["mean", "bilstm", "bilstm-attention", "bilinear", "tfidf"] | None = setting(
        None,
        "title encoder: mean, bilstm, bilstm-attention or bilinear (A table 3), tfidf (a sum in which rare words weigh "
        "more), or none",
        group="titles",
    )
    mixing: Literal["max", "sum", "gate", "concat"] = setting(
        "max",
        "mix of visual and semantic feature: max (A §3.3), sum, gate (a learned share of each), or concat (a layer "
        "over both)",
        group="titles",
    )
    title_loss_weight: float = setting(1.0, "λ of A eq. 1: weight of the loss on mixed features", group="titles")
    title_schedule: Literal["constant", "rise", "fall"] = setting(
        "constant",
        "λ in the course of the training: constant, a linear rise from 0, or a linear fall to 0",
        group="titles",
    )
    mixed_trains_backbone: bool = setting(
        True, "let the gradient of the loss on mixed features reach the backbone (A §3.3)", group="titles"
    )
    word_vectors: Literal["pretrained", "random", "zero"] = setting(
        "pretrained",
        "initial word vectors: pretrained (trained first if missing), random, or zero (for titles=tfidf)",
        group="titles",
    )
    word_dimension: int | None = setting(
        None,
        "width of random word vectors (none: 100), or of those that start at zero (none: that of the visual feature); "
        "pretrained ones have their own",
        group="titles",
        ge=1,
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
    photo_dropout: float = setting(
        0.0,
        "share of the photos hidden from the mixed feature in training, so that titles learn to identify a class "
        "alone (Neverova et al. 2016)",
        group="titles",
        ge=0,
        lt=1,
    )

    @property
    def needs_word_vectors(self) -> bool:
        """Whether a training starts from pretrained word vectors."""
        return self.titles is not None and self.word_vectors == "pretrained"

    def check_titles(self, changed: AbstractSet[str], *, heads: tuple[str, ...]) -> None:
        """Raise ValueError for settings that contradict each other."""
        own = {field.name for field in fields(TitleSettings)}
        if self.titles is None:
            for name in sorted(changed & own):
                raise ValueError(f"{name}={getattr(self, name)} does nothing without titles; set titles=bilinear too.")
            return
        if heads == ("attributes",):
            raise ValueError(
                f"titles={self.titles} trains the head of a level, and heads=attributes has none; add leaf."
            )
        for name, encoders in ENCODERS_WITH_SETTING.items():
            if name in changed and self.titles not in encoders:
                value = getattr(self, name)
                raise ValueError(f"{name}={value} belongs to titles={' or '.join(encoders)}, not {self.titles}.")
        if (self.titles == "tfidf") != (self.word_vectors == "zero"):
            raise ValueError(
                f"titles={self.titles} and word_vectors={self.word_vectors} do not go together: titles=tfidf learns "
                "its word vectors from zero; set word_vectors=zero with titles=tfidf, and only then."
            )
        if self.titles == "tfidf" and not self.train_word_vectors:
            raise ValueError("train_word_vectors=false keeps the word vectors of titles=tfidf at zero; set it to true.")
        if self.titles == "tfidf" and "semantic_spread" in changed and self.word_dimension is None:
            raise ValueError(
                f"semantic_spread={self.semantic_spread} does nothing with titles=tfidf, whose word vectors start at "
                "zero; set word_dimension too, or omit it."
            )
        if self.title_loss_weight <= 0:
            raise ValueError(
                f"title_loss_weight={self.title_loss_weight} must be above 0; titles=none trains on photos alone."
            )
        if self.word_vectors == "pretrained" and self.word_dimension is not None:
            raise ValueError(
                f"word_dimension={self.word_dimension} is for word_vectors=random or zero; "
                "pretrained ones have their own width."
            )
