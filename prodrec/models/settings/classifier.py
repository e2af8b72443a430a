"""The settings of the loss over the classes. This module does not import torch."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from prodrec.core.base.config import setting


@dataclass(frozen=True)
class ClassifierSettings:
    """The classifier and its loss."""

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
    tree_smoothing: float | None = setting(
        None,
        "β: target probability of each class of the deepest level in proportion to exp(−β · its distance to the label "
        "in the category tree), from 0 to 1 (Bertinetto et al. 2020: 4 to 30); less smooths more, none is off",
        group="classifier",
        gt=0,
    )
    logit_adjustment: float = setting(
        0.0,
        "τ: training adds τ·log(share of the class in the training images) to the score of a class",
        group="classifier",
        ge=0,
    )

    classifier_start: Literal["random", "class-means", "class-names", "class-titles"] = setting(
        "random",
        "initial rows of the classifiers of levels: random, the mean feature of the class over its training photos "
        "(class-means), or, with backbone=open_clip:NAME, the embedding of the class's name (class-names) or the mean "
        "embedding of its training titles (class-titles)",
        group="classifier",
    )

    def check_classifier(self, changed: AbstractSet[str], *, heads: tuple[str, ...], focal_gamma: float) -> None:
        """Raise ValueError for settings that contradict each other."""
        if not 0 < self.sample_share < 1:
            raise ValueError(f"sample_share={self.sample_share} must be in (0, 1); classifier=dense takes all classes.")
        if "sample_share" in changed and self.classifier != "sampled":
            raise ValueError(f"sample_share={self.sample_share} does nothing here; set classifier=sampled too.")
        if self.tree_smoothing is not None:
            self._check_tree_smoothing(heads=heads, focal_gamma=focal_gamma)

    def _check_tree_smoothing(self, *, heads: tuple[str, ...], focal_gamma: float) -> None:
        """Raise ValueError for settings that contradict soft labels by distance in the tree."""
        own = f"tree_smoothing={self.tree_smoothing}"
        if heads == ("attributes",):
            raise ValueError(f"{own} is for the head of a level, and heads=attributes has none; add leaf.")
        if self.label_smoothing:
            raise ValueError(
                f"{own} and label_smoothing={self.label_smoothing} both spread the target over other classes; use one "
                "of the two."
            )
        if focal_gamma:
            raise ValueError(
                f"focal_gamma={focal_gamma} weighs the probability of one class, and {own} spreads the target over all "
                "of them; use one of the two."
            )
        if self.classifier == "sampled":
            raise ValueError(
                f"{own} has a target for every class, and classifier=sampled omits most of them; set "
                "classifier=sharded or auto."
            )
