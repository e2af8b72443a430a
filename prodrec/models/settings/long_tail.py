"""The settings of losses for classes with few training photos. This module does not import torch."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from typing import Literal

from prodrec.core.base.config import format_value, setting


@dataclass(frozen=True)
class LongTailSettings:
    """Class weights, focal loss, and the cosine classifier with its margins; formulas in `models/classifier`."""

    class_weights: Literal["none", "effective", "inverse", "sqrt-inverse"] = setting(
        "none",
        "weight of a photo in the loss by the number n of training photos of its class: effective (Cui et al. 2019), "
        "inverse (1/n), sqrt-inverse (1/√n), or none",
        group="long tail",
    )
    class_weights_beta: float = setting(
        0.999, "with class_weights=effective: β; 0 weighs all classes alike, 1 would be inverse", group="long tail"
    )
    class_weights_from: float = setting(
        0.0,
        "share of the training after which class_weights begin (deferred re-weighting, Cao et al. 2019: 0.8)",
        group="long tail",
        ge=0,
        lt=1,
    )
    focal_gamma: float = setting(
        0.0,
        "γ of the focal loss (Lin et al. 2017), which weighs a photo by (1 − probability of its class)^γ; 0 is off",
        group="long tail",
        ge=0,
    )
    classifier_form: Literal["linear", "cosine"] = setting(
        "linear",
        "score of a class: linear (W x + b), or cosine (its cosine with the feature, times a learned scale)",
        group="classifier",
    )
    cosine_scale: float = setting(
        30.0, "with classifier_form=cosine: initial scale of the scores", group="classifier", gt=0
    )
    ldam_margin: float = setting(
        0.0,
        "with classifier_form=cosine: margin of the rarest class, which the cosine of a training photo must exceed; "
        "that of a class with n photos is in proportion to 1/n^(1/4) (LDAM, Cao et al. 2019: 0.5); 0 is off",
        group="long tail",
        ge=0,
        le=1,
    )

    def check_long_tail(self, changed: AbstractSet[str], *, heads: tuple[str, ...], label_smoothing: float) -> None:
        """Raise ValueError for settings that contradict each other."""
        for name in sorted(changed & {field.name for field in fields(LongTailSettings)}):
            value = format_value(getattr(self, name))
            if heads == ("attributes",):
                raise ValueError(f"{name}={value} is for the head of a level, and heads=attributes has none; add leaf.")
            if name in NEEDS:
                other, needed = NEEDS[name]
                if getattr(self, other) not in needed:
                    raise ValueError(f"{name}={value} does nothing here; set {other}={needed[0]} too.")
        if not 0 < self.class_weights_beta < 1:
            raise ValueError(f"class_weights_beta={self.class_weights_beta} must be in (0, 1).")
        if self.focal_gamma and label_smoothing:
            raise ValueError(
                f"focal_gamma={self.focal_gamma} weighs the probability of one class, and "
                f"label_smoothing={label_smoothing} spreads the target over all of them; use one of the two."
            )


NEEDS = {
    "class_weights_beta": ("class_weights", ("effective",)),
    "class_weights_from": ("class_weights", ("effective", "inverse", "sqrt-inverse")),
    "cosine_scale": ("classifier_form", ("cosine",)),
    "ldam_margin": ("classifier_form", ("cosine",)),
}
"""The setting that another one needs, and the values with which it has an effect."""
