"""The settings of the heads: the levels and attributes that are predicted. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from prodrec.core.base.config import format_value, setting

ATTRIBUTES, WORDS = "attributes", "words"
"""Heads that are not heads of levels."""

# λ (heads) and γ (attributes) of S §4.2 that are not 1. The families of paper S use them on every dataset; heads and
# attributes that a dataset does not have are ignored.
PAPER_HEAD_WEIGHTS = {"root": 0.1}
PAPER_ATTRIBUTE_WEIGHTS = {"color": 0.5, "sleeve length": 0.3, "others": 0.1}


@dataclass(frozen=True)
class HeadSettings:
    """The heads and their weights in the loss (S §3.4)."""

    heads: tuple[str, ...] = setting(
        ("leaf",),
        "what to predict: names of levels, root, leaf, levels (all levels), attributes, words (of the titles)",
        group="heads",
    )
    head_weights: Mapping[str, float] = setting(
        {}, "λ of S eq. 5 by head: root:0.1,attributes:0.5,words:1; 1 for heads not named", group="heads"
    )
    attributes: tuple[str, ...] = setting(("all",), "attributes to predict: their names, or all", group="heads")
    attribute_weights: Mapping[str, float] = setting(
        {},
        "γ of S eq. 7 by attribute: colour:0.5,others:0.1; others are the attributes not named, 1 by default",
        group="heads",
    )
    word_targets: Literal["all", "beyond-class"] = setting(
        "all",
        "with heads=leaf,words: predict all words of the titles, or only those that are in no name of a class",
        group="heads",
    )
    word_target_rows: int | None = setting(
        None,
        "with heads=leaf,words: fewest training titles that contain a word to predict; none is a thousandth of them, "
        "at least 2 and at most 10",
        group="heads",
        ge=1,
    )
    word_target_count: int = setting(
        10_000, "with heads=leaf,words: largest number of words to predict; the most frequent ones", group="heads", ge=2
    )
    word_target_weights: Literal["equal", "idf"] = setting(
        "equal", "with heads=leaf,words: weight of a word in its title: equal, or its rarity (idf)", group="heads"
    )
    word_units: int | None = setting(
        None,
        "with heads=leaf,words: width of a hidden layer (linear + ReLU) before the scores of the words; none is none",
        group="heads",
        ge=1,
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
            if name in changed and ATTRIBUTES not in self.heads:
                value = format_value(getattr(self, name))
                raise ValueError(f"{name}={value} does nothing here; set heads=leaf,attributes too.")
        for name in sorted(name for name in changed if name.startswith("word_target") or name == "word_units"):
            if WORDS not in self.heads:
                raise ValueError(
                    f"{name}={format_value(getattr(self, name))} does nothing here; set heads=leaf,words too."
                )
        if self.heads == (WORDS,):
            raise ValueError("heads=words predicts no class; add a level, such as heads=leaf,words.")
        for name in ("heads", "attributes"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}={format_value(values)} must have at least one name, and none twice.")
        for name in ("head_weights", "attribute_weights"):
            for key, weight in getattr(self, name).items():
                if weight <= 0:
                    raise ValueError(f"{name}={key}:{weight:g} must be above 0; omit what is not to be trained.")
