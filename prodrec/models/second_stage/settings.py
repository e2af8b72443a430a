"""The settings of a second stage. This module does not import torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from prodrec.core.base.errors import BadOption, did_you_mean

METHODS = ("crt", "lws", "tau-norm", "ncm", "lda")
DEFAULT_EPOCHS = 10.0
BALANCED_PRIOR = 1.0
"""τ of the logit adjustment of scores of equally frequent classes."""
POSSIBLE_PRIORS = (0.0, 0.25, 0.5, 0.75, BALANCED_PRIOR)
EFFECTIVE = {
    "epochs": ("crt", "lws"),
    "lr": ("crt", "lws"),
    "seed": ("crt", "lws"),
    "tau": ("tau-norm",),
    "shrinkage": ("lda",),
    "mirror": ("crt", "lws", "ncm", "lda"),
}
"""The methods in which a setting has an effect; in others it is refused."""


@dataclass(frozen=True)
class SecondStage:
    """A method and its settings; None is the default of the method.

    epochs:    passes over as many draws as there are training photos
    lr:        learning rate of AdamW
    seed:      seed of the weights and of the draws
    tau:       exponent of the lengths of the weights; None chooses it on validation photos
    shrinkage: share of the covariance that is replaced by a multiple of the identity; None takes Ledoit and Wolf's
    mirror:    use the mirror image of every photo too

    Raise BadOption for an unknown method, a value out of range, and a setting without effect.
    """

    method: str
    epochs: float | None = None
    lr: float | None = None
    seed: int | None = None
    tau: float | None = None
    shrinkage: float | None = None
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = f"there are {', '.join(METHODS)}"
            raise BadOption(f"--method {self.method}: no such method{did_you_mean(self.method, METHODS)}; {known}.")
        for name, methods in EFFECTIVE.items():
            value = getattr(self, name)
            if self.method not in methods and value is not None and value is not False:
                remedy = f"omit it, or use --method {' or '.join(methods)}"
                raise BadOption(f"--{name} has no effect with --method {self.method}; {remedy}.")
        for name in ("epochs", "lr"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BadOption(f"--{name} {value:g}: expected a number above 0.")
        if self.seed is not None and self.seed < 0:
            raise BadOption(f"--seed {self.seed}: expected at least 0.")
        if self.tau is not None and not 0 <= self.tau <= 2:
            raise BadOption(f"--tau {self.tau:g}: expected a number from 0 to 2.")
        if self.shrinkage is not None and not 0 <= self.shrinkage <= 1:
            raise BadOption(f"--shrinkage {self.shrinkage:g}: expected a number from 0 to 1.")

    @property
    def uses_training(self) -> bool:
        """Whether the features of training photos are needed."""
        return self.method != "tau-norm"

    @property
    def uses_validation(self) -> bool:
        """Whether validation photos choose the scale of the scores, which no loss has fitted."""
        return self.method in ("tau-norm", "ncm", "lda")

    @property
    def priors(self) -> tuple[float, ...]:
        """The values of t, the part of the prior that the scores may lack; validation photos choose one of them."""
        return POSSIBLE_PRIORS if self.method == "tau-norm" else (BALANCED_PRIOR,)

    def effective(self) -> dict[str, Any]:
        """Return the method and the settings that have an effect in it, as plain values."""
        names = ("method", *(name for name, methods in EFFECTIVE.items() if self.method in methods))
        return {name: value for name, value in asdict(self).items() if name in names}
